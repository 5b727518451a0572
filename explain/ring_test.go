package explain_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	gateway "kubernaut.io/gateway"
	"kubernaut.io/gateway/explain"
)

// decode makes a signal of each pod that a body lists.
func decode(_ string, body []byte) (gateway.Batch, error) {
	var pods []string
	if err := json.Unmarshal(body, &pods); err != nil {
		return gateway.Batch{}, err
	}
	var b gateway.Batch
	for _, pod := range pods {
		s := alert(pod)
		s.ReceivedAt, s.Source = time.Time{}, ""
		b.Signals = append(b.Signals, s)
	}
	return b, nil
}

func newRing(tb testing.TB, o explain.RingOptions) *explain.Ring {
	tb.Helper()
	o.Decode, o.Identity = decode, identity
	o.Case = explain.Case{Instance: "gateway-0", Namespace: "kubernaut-system", Dedup: dedup, Storms: storms}
	o.Formats = map[string]string{"prometheus": "alertmanager"}
	o.Now = func() time.Time { return noon }
	r, err := explain.NewRing(o)
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

// exchange is a request about pods, received so many seconds after noon.
func exchange(id string, second int, pods ...string) explain.Exchange {
	body, _ := json.Marshal(pods) // strings
	e := explain.Exchange{At: noon.Add(time.Duration(second) * time.Second), RequestID: id, Source: "prometheus", Body: slices.Clip(body), Rules: "r1"}
	for _, pod := range pods {
		s := alert(pod)
		s.Normalize(identity)
		e.Decisions = append(e.Decisions, gateway.Decision{
			Outcome: gateway.Created, Reason: gateway.ReasonNewEpisode, Fingerprint: s.Fingerprint, Alert: s.Alert,
			Request: gateway.RequestName(s.Fingerprint, 1), ReceivedAt: e.At,
		})
	}
	return e
}

func fingerprint(pod string) gateway.Fingerprint {
	return exchange("", 0, pod).Decisions[0].Fingerprint
}

// ids are the requests' IDs of cases with the pods that they are about.
func ids(cases []explain.Case) []string {
	var ids []string
	for i := range cases {
		pod := "?"
		if s := cases[i].Signal; s != nil {
			pod = s.Resource.Name
		}
		ids = append(ids, cases[i].RequestID+"/"+pod)
	}
	return ids
}

func wantCases(tb testing.TB, r *explain.Ring, key string, n int, want ...string) []explain.Case {
	tb.Helper()
	cases := r.Lookup(key, n)
	if got := ids(cases); !slices.Equal(got, want) {
		tb.Errorf("%s: %q, want %q", key, got, want)
	}
	return cases
}

func TestLookup(t *testing.T) {
	r := newRing(t, explain.RingOptions{})
	r.Add(exchange("a", 0, "cart-0", "cart-1"))
	r.Add(exchange("b", 1, "cart-1"))
	r.Add(exchange("c", 2, "cart-2", "cart-1", "cart-1"))
	f := fingerprint("cart-1")
	wantCases(t, r, f.String(), 10, "c/cart-1", "c/cart-1", "b/cart-1", "a/cart-1")
	wantCases(t, r, f.String(), 3, "c/cart-1", "c/cart-1", "b/cart-1")
	wantCases(t, r, gateway.RequestName(fingerprint("cart-0"), 1), 10, "a/cart-0")
	wantCases(t, r, "c", 10, "c/cart-1", "c/cart-1", "c/cart-2")
	wantCases(t, r, "", 10)
	wantCases(t, r, "nobody", 10)
	wantCases(t, r, f.String(), 0)

	c := wantCases(t, r, "b", 1, "b/cart-1")[0]
	if c.Signal.Fingerprint != f || !c.Signal.ReceivedAt.Equal(noon.Add(time.Second)) || c.Signal.Source != "prometheus" {
		t.Errorf("the signal is %+v", c.Signal)
	}
	if c.Kind != explain.Webhook || c.Format != "alertmanager" || c.Instance != "gateway-0" || c.RulesRevision != "r1" || !c.At.Equal(noon.Add(time.Second)) {
		t.Errorf("the case is %+v", c)
	}
	if e := explain.Of(&c); e.Fingerprint.Incomplete || e.Fingerprint.Name != "cart-1" {
		t.Errorf("the fingerprint is %+v", e.Fingerprint)
	}
}

func TestRingIsBounded(t *testing.T) {
	t.Run("by decisions", func(t *testing.T) {
		r := newRing(t, explain.RingOptions{Decisions: 4})
		for i := range 10 {
			r.Add(exchange("x"+strconv.Itoa(i), i, "cart-0"))
			wantWithin(t, r, 4, 1<<30)
		}
		wantCases(t, r, fingerprint("cart-0").String(), 10, "x9/cart-0", "x8/cart-0", "x7/cart-0", "x6/cart-0")
		r.Add(exchange("two", 11, "cart-1", "cart-0"))
		wantCases(t, r, fingerprint("cart-0").String(), 10, "two/cart-0", "x9/cart-0", "x8/cart-0")
		r.Add(exchange("many", 12, "p0", "p1", "p2", "p3", "p4", "p5"))
		wantWithin(t, r, 4, 1<<30)
		wantCases(t, r, "many", 10, "many/p3", "many/p2", "many/p1", "many/p0")
	})
	t.Run("by bytes", func(t *testing.T) {
		size := len(exchange("", 0, "cart-0").Body)
		r := newRing(t, explain.RingOptions{Bytes: 3 * size})
		for i := range 10 {
			r.Add(exchange("x"+strconv.Itoa(i), i, "cart-0"))
			wantWithin(t, r, 10, 3*size)
		}
		wantCases(t, r, fingerprint("cart-0").String(), 10, "x9/cart-0", "x8/cart-0", "x7/cart-0")
		large := exchange("large", 11, "cart-0")
		large.Body = slices.Grow(large.Body, 4*size)
		r.Add(large)
		wantWithin(t, r, 10, 3*size)
		wantCases(t, r, "large", 10, "large/?")
		wantCases(t, r, "x9", 10, "x9/cart-0")
	})
}

func wantWithin(tb testing.TB, r *explain.Ring, decisions, bytes int) {
	tb.Helper()
	if d, b := r.Len(); d > decisions || b > bytes {
		tb.Errorf("%d decisions of %d bytes, want at most %d of %d", d, b, decisions, bytes)
	}
}

// What was drained or reviewed is explained by the signal itself, of which the
// ring has a copy.
func TestAddKept(t *testing.T) {
	r := newRing(t, explain.RingOptions{})
	s := alert("cart-0")
	s.Payload = []byte("{}")
	s.Normalize(identity)
	d := exchange("", 0, "cart-0").Decisions[0]
	r.AddKept(explain.Drained, &s, &d)
	delete(s.Labels, "pod")
	s.Name, d.Outcome = "other", gateway.Failed
	c := wantCases(t, r, s.Fingerprint.String(), 1, "/cart-0")[0]
	if c.Kind != explain.Drained || c.Decision.Outcome != gateway.Created || c.Source != "prometheus" || !c.At.Equal(noon) {
		t.Errorf("the case is %+v", c)
	}
	if c.Signal.Name != "KubePodCrashLooping" || c.Signal.Labels["pod"] != "cart-0" || c.Signal.Payload != nil {
		t.Errorf("the signal is %+v", c.Signal)
	}
}

// A body that can't be read again leaves the decision, and a request without
// decisions nothing.
func TestLookupWithoutSignals(t *testing.T) {
	r := newRing(t, explain.RingOptions{})
	e := exchange("a", 0, "cart-0")
	e.Body = []byte("{")
	r.Add(e)
	r.Add(explain.Exchange{RequestID: "a"})
	wantCases(t, r, "a", 5, "a/?")
	if _, err := explain.NewRing(explain.RingOptions{}); err == nil {
		t.Error("a ring without decode was made")
	}
}

func TestRingFromManyGoroutines(t *testing.T) {
	r := newRing(t, explain.RingOptions{Decisions: 100})
	key := fingerprint("cart-0").String()
	var wait sync.WaitGroup
	faults := make(chan error, 8)
	for g := range 8 {
		wait.Go(func() {
			s := alert("cart-0")
			for i := range 200 {
				e := exchange(fmt.Sprintf("%d-%d", g, i), i, "cart-0", "cart-1")
				r.Add(e)
				if i%10 == 0 {
					r.AddKept(explain.Reviewed, &s, &e.Decisions[0])
				}
				if n := len(r.Lookup(key, 7)); i%20 == 0 && (n == 0 || n > 7) {
					faults <- errors.New(strconv.Itoa(n) + " cases")
					return
				}
			}
		})
	}
	wait.Wait()
	select {
	case err := <-faults:
		t.Error(err)
	default:
	}
	wantWithin(t, r, 100, 1<<30)
	if n := len(r.Lookup(key, 1000)); n < 50 {
		t.Errorf("%d cases at the end", n)
	}
}

func BenchmarkRingAdd(b *testing.B) {
	r := newRing(b, explain.RingOptions{})
	e := exchange("a", 0, "cart-0")
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			r.Add(e)
		}
	})
}

func BenchmarkLookupMiss(b *testing.B) {
	r := newRing(b, explain.RingOptions{})
	for range explain.DefaultDecisions {
		r.Add(exchange("a", 0, "cart-0"))
	}
	b.ReportAllocs()
	for b.Loop() {
		r.Lookup("rr-nobody", 10)
	}
}

func BenchmarkOf(b *testing.B) {
	w := newWorld(b)
	c := w.process(w.pipeline(), alert("cart-0"))
	b.ReportAllocs()
	for b.Loop() {
		explain.Of(c)
	}
}

// TestRingFindsADecisionByItsNumber: whatever else its request and its
// fingerprint have had, until it goes.
func TestRingFindsADecisionByItsNumber(t *testing.T) {
	t.Parallel()
	r := newRing(t, explain.RingOptions{Decisions: 5})
	if number := r.Add(explain.Exchange{RequestID: "empty"}); number != 0 {
		t.Errorf("an exchange without decisions has number %d", number)
	}
	first := r.Add(exchange("same", 1, "web-0", "web-1"))
	second := r.Add(exchange("same", 2, "web-0", "web-1"))
	for number, second := range map[uint64]int{first: 1, second: 2} {
		for index, pod := range []string{"web-0", "web-1"} {
			c, ok := r.At(number, index)
			if !ok || c.Signal == nil || c.Signal.Resource.Name != pod || !c.At.Equal(noon.Add(time.Duration(second)*time.Second)) {
				t.Errorf("%d of %d: %t %+v", index, number, ok, c)
			}
		}
	}
	for _, index := range []int{-1, 2} {
		if _, ok := r.At(first, index); ok {
			t.Errorf("there is a decision %d of two", index)
		}
	}
	third := r.Add(exchange("later", 3, "web-2", "web-3"))
	for number, want := range map[uint64]bool{0: false, first: false, second: true, third: true, third + 1: false} {
		if _, ok := r.At(number, 0); ok != want {
			t.Errorf("number %d is there: %t, want %t", number, ok, want)
		}
	}
	r.Forget()
	if _, ok := r.At(third, 0); ok {
		t.Error("what was forgotten is there")
	}
}
