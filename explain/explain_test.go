package explain_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	gateway "kubernaut.io/gateway"
	"kubernaut.io/gateway/explain"
)

var update = flag.Bool("update", false, "rewrite the golden texts")

// text returns an explanation as it is written for people.
func text(tb testing.TB, e *explain.Explanation) string {
	tb.Helper()
	var b bytes.Buffer
	if err := e.WriteText(&b); err != nil {
		tb.Fatal(err)
	}
	return b.String()
}

func marshal(tb testing.TB, v any) []byte {
	tb.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func TestTexts(t *testing.T) {
	told := make(map[gateway.Outcome]bool)
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			c := way(newWorld(t))
			if want, _, _ := strings.Cut(name, "-"); want != string(c.Decision.Outcome) {
				t.Fatalf("%s because %s (%s), want %s", c.Decision.Outcome, c.Decision.Reason, c.Decision.Detail, want)
			}
			told[c.Decision.Outcome] = true
			e := explain.Of(c)
			got := text(t, &e)
			golden := filepath.Join("testdata", name+".txt")
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
			for line := range strings.Lines(got) {
				if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > 100 {
					t.Errorf("%d columns: %s", n, line)
				}
			}
		})
	}
	for _, o := range gateway.Outcomes {
		if !told[o] {
			t.Errorf("no golden text has the outcome %s", o)
		}
	}
}

// A decision that was written down and read again is explained as it was live,
// and so is an explanation.
func TestReadAgain(t *testing.T) {
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			c := way(newWorld(t))
			live := explain.Of(c)
			again := *c
			again.Decision = gateway.Decision{}
			if err := json.Unmarshal(marshal(t, c.Decision), &again.Decision); err != nil {
				t.Fatal(err)
			}
			if read := explain.Of(&again); !reflect.DeepEqual(read, live) {
				t.Errorf("read again\n%s\nlive\n%s", marshal(t, read), marshal(t, live))
			}
			var e explain.Explanation
			if err := json.Unmarshal(marshal(t, live), &e); err != nil {
				t.Fatal(err)
			}
			if got, want := text(t, &e), text(t, &live); got != want {
				t.Errorf("text of an explanation that was read\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// What a sender writes reaches neither a terminal as a control character nor
// turns a text around.
func TestHostileText(t *testing.T) {
	const hostile = "a\x1b[31mb\rc\nd\u202ee\u2066f\u009bg\xffh\x7f\x00\u200b"
	w := newWorld(t)
	s := alert("cart-0")
	s.Name, s.Resource = "Evil"+hostile, gateway.Resource{}
	s.Labels = map[string]string{"alertname": s.Name, hostile: hostile}
	s.Cluster, s.Source, s.Severity = hostile, hostile, hostile
	w.creates = []error{errors.New(hostile)}
	c := w.process(w.pipeline(), s)
	c.RequestID, c.Instance, c.Format = hostile, hostile, hostile
	e := explain.Of(c)
	for _, l := range e.Chain {
		checkHarmless(t, l.Text)
	}
	got := text(t, &e)
	checkHarmless(t, strings.ReplaceAll(got, "\n", ""))
	for _, want := range []string{`\x1b`, `\r`, `\n`, `\u202e`, `\u2066`, `\u009b`, `\xff`, `\x7f`, `\x00`, `\u200b`} {
		if !strings.Contains(got, want) {
			t.Errorf("%s is not told", want)
		}
	}
	if lines := strings.Count(got, "\n"); lines > 80 {
		t.Errorf("%d lines", lines)
	}
}

func checkHarmless(tb testing.TB, text string) {
	tb.Helper()
	for _, r := range text {
		if r < ' ' || r >= 0x7f && r < 0xa0 || strings.ContainsRune("\u200b\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufffd", r) {
			tb.Errorf("%U in %q", r, text)
			return
		}
	}
}

func TestWhatNamedTheResource(t *testing.T) {
	pod := gateway.Resource{APIVersion: "v1", Kind: "Pod", Namespace: "shop", Name: "cart-0"}
	tests := map[string]struct {
		resource gateway.Resource
		labels   map[string]string
		want     string
	}{
		"plain": {pod, map[string]string{"namespace": "shop", "pod": "cart-0"}, "label pod, in the namespace of label namespace"},
		"exported": {
			pod,
			map[string]string{"exported_namespace": "shop", "exported_pod": "cart-0", "namespace": "monitoring", "pod": "ksm-0"},
			"label exported_pod, in the namespace of label exported_namespace; label pod is the scraped target's",
		},
		"before others": {
			gateway.Resource{APIVersion: "apps/v1", Kind: "Deployment", Namespace: "shop", Name: "cart"},
			map[string]string{"namespace": "shop", "deployment": "cart", "pod": "ksm-0", "node": "n1"},
			"label deployment, in the namespace of label namespace; it comes before pod, node",
		},
		"scraped pod": {
			gateway.Resource{APIVersion: "v1", Kind: "Namespace", Name: "shop"},
			map[string]string{"namespace": "shop", "pod": "ksm-0"},
			"label namespace; label pod left aside: what is scraped, or no object's name",
		},
		"not by labels": {pod, map[string]string{"namespace": "shop"}, ""},
		"nothing":       {gateway.Resource{}, map[string]string{"job": "x"}, "no label names an object"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := alert("cart-0")
			s.Resource, s.Labels = test.resource, maps.Clone(test.labels)
			s.Labels["alertname"] = s.Name
			e := explain.Of(&explain.Case{Signal: &s})
			if got := e.Signal.ResourceFrom; got != test.want {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
}

// The parts of a fingerprint are those that give it, and where they don't that
// is said.
func TestParts(t *testing.T) {
	s := alert("cart-0")
	s.Owner = gateway.Resource{APIVersion: "apps/v1", Kind: "Deployment", Namespace: "shop", Name: "cart"}
	s.Normalize(identity)
	c := explain.Case{Signal: &s, Decision: gateway.Decision{Fingerprint: s.Fingerprint, ReceivedAt: noon}}
	id := explain.Of(&c).Fingerprint
	want := &explain.Identity{
		Fingerprint: s.Fingerprint.String(), Cluster: "eu-1", Fault: s.Name,
		Group: "apps", Kind: "Deployment", Namespace: "shop", Name: "cart", ByOwner: true,
	}
	if !reflect.DeepEqual(id, want) {
		t.Errorf("%+v, want %+v", id, want)
	}
	s.Normalize(gateway.Identity{ByOwner: true, Equivalents: gateway.DefaultEquivalents()})
	c.Decision.Fingerprint, c.Equivalents = s.Fingerprint, gateway.DefaultEquivalents()
	id = explain.Of(&c).Fingerprint
	want.Fingerprint, want.Fault, want.Signal = s.Fingerprint.String(), "BackOff", s.Name
	if !reflect.DeepEqual(id, want) || !strings.Contains(id.String(), "fault BackOff") || !strings.Contains(id.String(), s.Name+" tells of the same fault") {
		t.Errorf("%+v, want %+v: %s", id, want, id)
	}
	c.Decision.Fingerprint[0]++
	if id := explain.Of(&c).Fingerprint; !id.Incomplete {
		t.Errorf("%+v is not incomplete", id)
	}
	c.Signal = nil
	if id := explain.Of(&c).Fingerprint; !id.Incomplete {
		t.Errorf("%+v is not incomplete", id)
	}
}

// TestOwnersAreTold: from wherever an owner is known, or whatever kept it from being
// known, it is said, and in words of its own.
func TestOwnersAreTold(t *testing.T) {
	cart := gateway.Resource{APIVersion: "apps/v1", Kind: "Deployment", Namespace: "shop", Name: "cart"}
	said := make(map[string]gateway.OwnerFrom)
	for _, from := range gateway.OwnersFrom {
		for _, owner := range []gateway.Resource{cart, {}} {
			w := newWorld(t)
			w.owned = gateway.Ownership{Owner: owner, From: from}
			e := explain.Of(w.process(w.pipeline(), alert("cart-0")))
			at := slices.IndexFunc(e.Chain, func(l explain.Link) bool { return l.Stage == explain.StageOwner })
			if at < 0 {
				t.Fatalf("%s: nothing is told", from)
			}
			text, data := e.Chain[at].Text, e.Chain[at].Data.(explain.Owner)
			if before, is := said[text]; is {
				t.Errorf("%s and %s are told alike: %s", from, before, text)
			}
			said[text] = from
			known := !owner.IsZero()
			if data.From != from || strings.Contains(text, cart.String()) != known || strings.Contains(text, "stands for itself") == known ||
				(e.Signal.Owner != nil) != known || e.Fingerprint.ByOwner != known || strings.HasSuffix(text, ": from "+string(from)) {
				t.Errorf("%s: %s, %+v, %+v", from, text, data, e.Fingerprint)
			}
		}
	}
}

// Of is pure: the case is as it was, and the next explanation the same.
func TestPure(t *testing.T) {
	for name, way := range ways {
		c := way(newWorld(t))
		before := marshal(t, c)
		first := explain.Of(c)
		if second := explain.Of(c); !reflect.DeepEqual(first, second) {
			t.Errorf("%s: explained twice, it is not the same", name)
		}
		if !bytes.Equal(before, marshal(t, c)) {
			t.Errorf("%s: the case was changed", name)
		}
	}
}

// Times are told in UTC, whatever the zone of whoever asks.
func TestTimesAreUTC(t *testing.T) {
	e := explain.Of(&explain.Case{At: noon.In(time.FixedZone("east", 3600))})
	if want := "2030-01-02T12:00:00Z"; e.At != want {
		t.Errorf("%s, want %s", e.At, want)
	}
}

func FuzzOf(f *testing.F) {
	for _, way := range ways {
		c := way(newWorld(f))
		f.Add(marshal(f, c.Decision), c.Signal.Name, c.Signal.Resolved, string(c.Kind))
	}
	f.Fuzz(func(t *testing.T, decision []byte, name string, isResolved bool, kind string) {
		c := explain.Case{Dedup: dedup, Storms: storms, Kind: explain.Kind(kind)}
		if json.Unmarshal(decision, &c.Decision) != nil {
			return
		}
		if name != "" {
			s := alert("cart-0")
			s.Name, s.Resolved = name, isResolved
			c.Signal = &s
		}
		e := explain.Of(&c)
		marshal(t, e)
		checkHarmless(t, strings.ReplaceAll(text(t, &e), "\n", ""))
	})
}
