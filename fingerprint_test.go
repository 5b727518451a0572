package gateway_test

import (
	"maps"
	"strings"
	"testing"
	"time"

	gateway "kubernaut.io/gateway"
)

func crashingPod() gateway.Signal {
	return gateway.Signal{
		Name: "KubePodCrashLooping", Severity: "warning", Source: "prometheus", ReceivedAt: now,
		Resource: gateway.Resource{APIVersion: "v1", Kind: "Pod", Namespace: "shop", Name: "cart-5d9f7c-x2x4z"},
		Labels:   map[string]string{"alertname": "KubePodCrashLooping", "pod": "cart-5d9f7c-x2x4z", "severity": "warning"},
	}
}

func backup() gateway.Signal {
	return gateway.Signal{
		Name: "Backup", Severity: "warning", Source: "prometheus", ReceivedAt: now,
		Labels: map[string]string{"severity": "warning", "job": "nightly", "alertname": "Backup"},
	}
}

func cartOwner(s *gateway.Signal) {
	s.Owner = gateway.Resource{APIVersion: "apps/v1", Kind: "Deployment", Namespace: "shop", Name: "cart"}
}

func normalize(t *testing.T, s gateway.Signal, id gateway.Identity) gateway.Signal {
	t.Helper()
	if s.Normalize(id); s.Err != nil {
		t.Fatal(s.Err)
	}
	return s
}

// TestFingerprintGolden holds what must never change: requests in the cluster
// are found by it. The values were computed from the definition, length before
// each part, and not by this package.
func TestFingerprintGolden(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		id     gateway.Identity
		signal gateway.Signal
		change func(s *gateway.Signal)
		want   string
	}{
		{"a pod", gateway.Identity{}, crashingPod(), nil, "69bb32eeefb4cfa1f6af4e30eddd858f2a75f990e2c030cc6bab7fc201295cfb"},
		{"a pod of a named cluster", gateway.Identity{Cluster: "home"}, crashingPod(), nil, "0323a3abff0f90442fc34c524703171704cf71c2810b642ba74c0326bf84f17f"},
		{"the signal's cluster wins", gateway.Identity{Cluster: "away"}, crashingPod(), func(s *gateway.Signal) { s.Cluster = "home" }, "0323a3abff0f90442fc34c524703171704cf71c2810b642ba74c0326bf84f17f"},
		{"by owner", gateway.Identity{ByOwner: true}, crashingPod(), cartOwner, "56e3a41b70d0b6baa2fd41c9853f8774b310c613883fe4cc934844e9f1238d17"},
		{"by owner, none known", gateway.Identity{ByOwner: true}, crashingPod(), nil, "69bb32eeefb4cfa1f6af4e30eddd858f2a75f990e2c030cc6bab7fc201295cfb"},
		{"by resource", gateway.Identity{}, crashingPod(), cartOwner, "69bb32eeefb4cfa1f6af4e30eddd858f2a75f990e2c030cc6bab7fc201295cfb"},
		{"a node", gateway.Identity{}, gateway.Signal{Name: "NodeDown", Resource: gateway.Resource{APIVersion: "v1", Kind: "Node", Name: "node-1"}}, nil, "4aed999f0ce19284eb0774507d8be8e391873d9a7340a8429b383e7893886323"},
		{"no object", gateway.Identity{}, backup(), nil, "e46bc008e6aa28c884fb39b490a3121bbf1ef79fd9f0bf32e1e77b21cfcce228"},
		{"a length of two bytes", gateway.Identity{}, gateway.Signal{Name: "F", Resource: gateway.Resource{APIVersion: "v1", Kind: "Pod", Namespace: "shop", Name: strings.Repeat("x", 200)}}, nil, "0e55458771b286929537f44902c46b24fa3d55a59f7d879b50cac707b692b120"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := test.signal
			if test.change != nil {
				test.change(&s)
			}
			got := normalize(t, s, test.id).Fingerprint
			if got.String() != test.want {
				t.Errorf("fingerprint %s, want %s", got, test.want)
			}
			if parsed, err := gateway.ParseFingerprint(test.want); err != nil || parsed != got {
				t.Errorf("parsed %s, %v", parsed, err)
			}
		})
	}
}

func TestRequestNameGolden(t *testing.T) {
	t.Parallel()
	f := normalize(t, crashingPod(), gateway.Identity{}).Fingerprint
	for sequence, want := range map[int64]string{
		1:   "rr-a5011fab4cf370ab3bb1290852441c4a3bc0c8e0",
		258: "rr-e3f3b94877633e07bf5d84d211838175e656c10a",
	} {
		if got := gateway.RequestName(f, sequence); got != want {
			t.Errorf("request %d is named %s, want %s", sequence, got, want)
		}
	}
}

func TestAlertHashGolden(t *testing.T) {
	t.Parallel()
	event := gateway.Signal{Name: "BackOff", Source: "k8s-event", Type: gateway.TypeKubernetesEvent, EventID: "5f1c", EventCount: 1}
	tests := []struct {
		name   string
		signal gateway.Signal
		want   string
	}{
		{"an alert is its source and all labels", backup(), "ddc0574f43673dc55c7c9b2121f4c197"},
		{"an event is its source and its identity", event, "e0e08e31f8653a2eaadbc2a95678f3b4"},
	}
	for _, test := range tests {
		got := normalize(t, test.signal, gateway.Identity{}).Alert
		if got.String() != test.want {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
		if parsed, err := gateway.ParseAlertHash(test.want); err != nil || parsed != got {
			t.Errorf("%s: parsed %s, %v", test.name, parsed, err)
		}
	}
}

// TestIdentity says what makes another fingerprint and another alert.
func TestIdentity(t *testing.T) {
	t.Parallel()
	label := func(name, value string) func(s *gateway.Signal) {
		return func(s *gateway.Signal) {
			s.Labels = maps.Clone(s.Labels)
			s.Labels[name] = value
		}
	}
	tests := []struct {
		name               string
		signal             gateway.Signal
		change             func(s *gateway.Signal)
		fingerprint, alert bool // whether it stays the same
	}{
		{"nothing", crashingPod(), func(*gateway.Signal) {}, true, true},
		{"a time", crashingPod(), func(s *gateway.Signal) { s.StartsAt, s.ReceivedAt = now, now.Add(time.Hour) }, true, true},
		{"a message", crashingPod(), func(s *gateway.Signal) { s.Annotations = map[string]string{"summary": "again"} }, true, true},
		{"an end", crashingPod(), func(s *gateway.Signal) { s.Resolved, s.EndsAt = true, now }, true, true},
		{"a label", crashingPod(), label("container", "app"), true, false},
		{"a worse severity", crashingPod(), label("severity", "critical"), true, false},
		{"another source", crashingPod(), func(s *gateway.Signal) { s.Source = "other" }, true, false},
		{"another fault", crashingPod(), func(s *gateway.Signal) { s.Name = "KubePodNotReady" }, false, true},
		{"another namespace", crashingPod(), func(s *gateway.Signal) { s.Resource.Namespace = "shop2" }, false, true},
		{"another name", crashingPod(), func(s *gateway.Signal) { s.Resource.Name = "cart-2" }, false, true},
		{"another kind", crashingPod(), func(s *gateway.Signal) { s.Resource.Kind = "Service" }, false, true},
		{"another group", crashingPod(), func(s *gateway.Signal) { s.Resource.APIVersion = "acme.io/v1" }, false, true},
		{"another version", crashingPod(), func(s *gateway.Signal) { s.Resource.APIVersion = "v2" }, true, true},
		{"another cluster", crashingPod(), func(s *gateway.Signal) { s.Cluster = "away" }, false, true},
		{"a worse severity of no object", backup(), label("severity", "critical"), true, false},
		{"a label of no object", backup(), label("job", "weekly"), false, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			changed := test.signal
			test.change(&changed)
			a, b := normalize(t, test.signal, gateway.Identity{}), normalize(t, changed, gateway.Identity{})
			if same := a.Fingerprint == b.Fingerprint; same != test.fingerprint {
				t.Errorf("same fingerprint %v, want %v", same, test.fingerprint)
			}
			if same := a.Alert == b.Alert; same != test.alert {
				t.Errorf("same alert %v, want %v", same, test.alert)
			}
		})
	}
}

// TestLabelOrder builds the same labels many times: maps iterate in any order.
func TestLabelOrder(t *testing.T) {
	t.Parallel()
	want := normalize(t, backup(), gateway.Identity{})
	for range 100 {
		if got := normalize(t, backup(), gateway.Identity{}); got.Fingerprint != want.Fingerprint || got.Alert != want.Alert {
			t.Fatal("the order of labels changes the identity")
		}
	}
}

// TestOwnerStandsForItsPods: a new pod is no new trouble.
func TestOwnerStandsForItsPods(t *testing.T) {
	t.Parallel()
	one, other := crashingPod(), crashingPod()
	other.Resource.Name = "cart-5d9f7c-zzzzz"
	cartOwner(&one)
	cartOwner(&other)
	byOwner := gateway.Identity{ByOwner: true}
	if normalize(t, one, byOwner).Fingerprint != normalize(t, other, byOwner).Fingerprint {
		t.Error("two pods of one owner differ")
	}
	if normalize(t, one, gateway.Identity{}).Fingerprint == normalize(t, other, gateway.Identity{}).Fingerprint {
		t.Error("two pods are the same although resources are taken as they are")
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"", "69bb", strings.Repeat("g", 64), strings.Repeat("a", 63), strings.Repeat("a", 65)} {
		if f, err := gateway.ParseFingerprint(s); err == nil || !f.IsZero() {
			t.Errorf("ParseFingerprint(%q) = %s, %v", s, f, err)
		}
	}
	for _, s := range []string{"", "69bb", strings.Repeat("g", 32), strings.Repeat("a", 33)} {
		if h, err := gateway.ParseAlertHash(s); err == nil || h != (gateway.AlertHash{}) {
			t.Errorf("ParseAlertHash(%q) = %s, %v", s, h, err)
		}
	}
}

// FuzzFingerprint looks for two signals that differ and have one fingerprint:
// parts that run into each other, or labels that look like parts.
func FuzzFingerprint(f *testing.F) {
	f.Add("", "ab", "c", "d", "", "a", "bc", "d", false)
	f.Add("c", "n", "ns", "x", "cn", "", "ns", "x", false)
	f.Add("", "n", "a", "bc", "", "n", "ab", "c", true)
	f.Add("", "n", "resource", "", "", "n", "", "resource", true)
	f.Add("\x01", "n", "\x01a", "b", "", "\x01n", "\x01", "ab", false)
	f.Fuzz(func(t *testing.T, cluster1, name1, a1, b1, cluster2, name2, a2, b2 string, labels bool) {
		one, ok := fuzzed(cluster1, name1, a1, b1, labels)
		if !ok {
			t.Skip("no valid signal")
		}
		other, ok := fuzzed(cluster2, name2, a2, b2, false)
		if !ok {
			t.Skip("no valid signal")
		}
		same := !labels && cluster1 == cluster2 && name1 == name2 && a1 == a2 && b1 == b2
		if got := one.Fingerprint == other.Fingerprint; got != same {
			t.Errorf("%q and %q: same fingerprint %v, want %v", []string{cluster1, name1, a1, b1}, []string{cluster2, name2, a2, b2}, got, same)
		}
	})
}

// fuzzed returns a signal about a pod, or about no object with the same words
// as labels.
func fuzzed(cluster, name, a, b string, labels bool) (gateway.Signal, bool) {
	s := gateway.Signal{Cluster: cluster, Name: name}
	if labels {
		s.Labels = map[string]string{"Pod": "", a: b}
	} else {
		s.Resource = gateway.Resource{APIVersion: "v1", Kind: "Pod", Namespace: a, Name: b}
	}
	s.Normalize(gateway.Identity{})
	return s, s.Err == nil
}

func BenchmarkFingerprint(b *testing.B) {
	for name, s := range map[string]gateway.Signal{"pod": crashingPod(), "labels": backup()} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				s := s
				if s.Normalize(gateway.Identity{ByOwner: true}); s.Err != nil {
					b.Fatal(s.Err)
				}
			}
		})
	}
}
