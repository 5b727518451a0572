package kube

import (
	"maps"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"kubernaut.io/gateway"
	"kubernaut.io/gateway/api/v1alpha1"
)

func TestBound(t *testing.T) {
	const limit = 1000
	random := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		in := []map[string]string{{}, {}}
		for range random.IntN(60) {
			key := strings.Repeat("k", random.IntN(80)) + string(rune('a'+random.IntN(26)))
			in[random.IntN(2)][key] = strings.Repeat("é", random.IntN(400))
		}
		out := bound(limit, in...)
		size, before := 0, 0
		for i, m := range out {
			for k, v := range m {
				size += len(k) + len(v)
				if !utf8.ValidString(v) {
					t.Fatalf("cut inside a rune: %q", v)
				}
				if sent := in[i][k]; v != sent && !strings.HasSuffix(v, cutMark) {
					t.Fatalf("%q changed to %q without a mark", sent, v)
				}
			}
			for k, v := range in[i] {
				before += len(k) + len(v)
			}
		}
		if size > limit {
			t.Fatalf("%d bytes, at most %d", size, limit)
		}
		if before <= limit && (!maps.Equal(in[0], out[0]) || !maps.Equal(in[1], out[1])) {
			t.Fatal("something that fits was changed")
		}
	}
}

func TestBoundCutsTheLongest(t *testing.T) {
	out := bound(1000, map[string]string{"alertname": "X", "summary": strings.Repeat("long ", 1000)})
	if out[0]["alertname"] != "X" {
		t.Errorf("the short value was changed: %q", out[0]["alertname"])
	}
	if v := out[0]["summary"]; !strings.HasPrefix(v, "long long") || !strings.HasSuffix(v, cutMark) {
		t.Errorf("summary = %q", v)
	}
}

func FuzzLabelValue(f *testing.F) {
	for _, seed := range []string{"", "critical", "-a-", "P0", "größe", strings.Repeat("x", 100), "a/b c", "\x00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if problems := validation.IsValidLabelValue(labelValue(s)); len(problems) > 0 {
			t.Errorf("labelValue(%q) = %q: %v", s, labelValue(s), problems)
		}
		if len(validation.IsValidLabelValue(s)) == 0 && labelValue(s) != s {
			t.Errorf("the valid %q became %q", s, labelValue(s))
		}
	})
}

func TestObjectIsObservedAsOrdered(t *testing.T) {
	at := time.Date(2026, 5, 1, 12, 0, 0, 123456000, time.UTC)
	s := &gateway.Signal{
		Name: "KubePodCrashLooping", Severity: "Critical!", Type: gateway.TypePrometheusAlert, Source: "prometheus",
		Resource: gateway.Resource{APIVersion: "v1", Kind: "Pod", Namespace: "demo", Name: "api-0"},
		Labels:   map[string]string{"alertname": "KubePodCrashLooping"}, StartsAt: at, ReceivedAt: at.Add(time.Minute),
		Payload: []byte(strings.Repeat("x", 20<<10)),
	}
	s.Normalize(gateway.Identity{Cluster: "here"})
	rr := object(&gateway.Order{
		Fingerprint: s.Fingerprint, Sequence: 3, Attempt: 2, Signal: s, Environment: gateway.Environment{Name: "production"},
		Priority: gateway.P0, Path: gateway.Conservative,
	}, "kubernaut-system")
	if len(rr.Spec.OriginalPayload) > maxPayloadBytes {
		t.Errorf("payload of %d bytes", len(rr.Spec.OriginalPayload))
	}
	rr.ResourceVersion = "7"
	o, err := observe(rr, "here")
	if err != nil || !o.ours {
		t.Fatalf("ours %t, err %v", o.ours, err)
	}
	r := o.request
	if r.Fingerprint != s.Fingerprint || r.Sequence != 3 || r.Attempt != 2 || r.Environment != "production" || r.Priority != gateway.P0 {
		t.Errorf("request = %+v", r)
	}
	known, ok := r.Episode.Alert(s.Alert)
	if !ok || !known.StartsAt.Equal(at) || !known.Open() || r.Episode.Occurrences != 1 || !r.Episode.LastSeen.Equal(s.ReceivedAt) {
		t.Errorf("episode = %+v", r.Episode)
	}
	if o.groups != gateway.Groups(s, "here") {
		t.Errorf("groups = %v", o.groups)
	}
}

func TestPhaseTimes(t *testing.T) {
	created := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	at := func(minutes int) *metav1.Time {
		return &metav1.Time{Time: created.Add(time.Duration(minutes) * time.Minute)}
	}
	managed := []metav1.ManagedFieldsEntry{
		{Manager: "controller", Subresource: "status", Time: at(3)},
		{Manager: fieldManager, Subresource: "status", Time: at(9)},
		{Manager: "somebody", Time: at(8)},
	}
	for _, tt := range []struct {
		name             string
		status           v1alpha1.RemediationRequestStatus
		since, completed time.Time
	}{
		{name: "no phase", status: v1alpha1.RemediationRequestStatus{StartTime: at(1)}},
		{
			name: "times given", status: v1alpha1.RemediationRequestStatus{OverallPhase: "completed", StartTime: at(1), CompletedAt: at(2)},
			since: at(1).Time, completed: at(2).Time,
		},
		{
			name: "no times", status: v1alpha1.RemediationRequestStatus{OverallPhase: "failed"},
			since: at(3).Time, completed: at(3).Time,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			rr := &v1alpha1.RemediationRequest{
				ObjectMeta: metav1.ObjectMeta{CreationTimestamp: metav1.Time{Time: created}, ManagedFields: managed}, Status: tt.status,
			}
			since, completed := phaseTimes(rr)
			if !since.Equal(tt.since) || !completed.Equal(tt.completed) {
				t.Errorf("since %v, completed %v, want %v, %v", since, completed, tt.since, tt.completed)
			}
		})
	}
}
