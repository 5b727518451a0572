package gateway_test

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"kubernaut.io/gateway"
)

var (
	parkRules = gateway.ParkRules{StaleAfter: 24 * time.Hour, EventWindow: 15 * time.Minute}
	parkStart = time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
)

// parkable is a normalized firing signal of the nth alert, seen so long after
// parkStart, when it began.
// maxDue is more than is ever parked in a test.
const maxDue = 1 << 20

func parkable(n int, seen time.Duration) gateway.Signal {
	s := gateway.Signal{
		Name: "Full", Type: gateway.TypePrometheusAlert, StartsAt: parkStart.Add(seen), ReceivedAt: parkStart.Add(seen),
		Labels: map[string]string{"n": strconv.Itoa(n)},
	}
	binary.BigEndian.PutUint64(s.Fingerprint[:], uint64(n))
	binary.BigEndian.PutUint64(s.Alert[:], uint64(n))
	return s
}

// ended is the end of the nth alert at so long after parkStart.
func ended(n int, at time.Duration) gateway.Signal {
	s := parkable(n, at)
	s.StartsAt, s.EndsAt, s.Resolved = parkStart, parkStart.Add(at), true
	return s
}

func never(*gateway.Signal) bool  { return false }
func always(*gateway.Signal) bool { return true }

// told writes signals as alert and minute, an end with a line before it.
func told(signals []gateway.Signal) string {
	var all []string
	for _, s := range signals {
		end := ""
		if s.Resolved {
			end = "-"
		}
		all = append(all, fmt.Sprintf("%s%s@%v", end, s.Labels["n"], int(s.ReceivedAt.Sub(parkStart).Minutes())))
	}
	return strings.Join(all, " ")
}

func TestParked(t *testing.T) {
	t.Parallel()
	keep := func(s gateway.Signal) func(*gateway.Parked) { return func(p *gateway.Parked) { p.Keep(&s) } }
	drop := func(s gateway.Signal) func(*gateway.Parked) { return func(p *gateway.Parked) { p.Drop(&s) } }
	event := func(seen time.Duration) gateway.Signal {
		s := parkable(1, seen)
		s.Type = gateway.TypeKubernetesEvent
		return s
	}
	const minute = time.Minute
	for _, test := range []struct {
		name  string
		steps []func(*gateway.Parked)
		at    time.Duration
		want  string
	}{
		{"a firing", []func(*gateway.Parked){keep(parkable(1, 0))}, minute, "1@0"},
		{"the newest of an alert", []func(*gateway.Parked){keep(parkable(1, 0)), keep(parkable(1, minute))}, 2 * minute, "1@1"},
		{"in the order of the last sighting", []func(*gateway.Parked){
			keep(parkable(1, 0)), keep(parkable(2, minute)), keep(parkable(1, 2*minute)),
		}, 3 * minute, "2@1 1@2"},
		{"an end takes its firing out", []func(*gateway.Parked){keep(parkable(1, 0)), drop(ended(1, minute))}, 2 * minute, ""},
		{"an end of another alert", []func(*gateway.Parked){keep(parkable(1, 0)), drop(ended(2, minute))}, 2 * minute, "1@0"},
		{"an end before the firing began", []func(*gateway.Parked){keep(parkable(1, 2*minute)), drop(ended(1, minute))}, 3 * minute, "1@2"},
		{"an end that could not be written", []func(*gateway.Parked){keep(parkable(1, 0)), keep(ended(1, minute))}, 2 * minute, "-1@1"},
		{"an end, and a firing after it", []func(*gateway.Parked){keep(ended(1, minute)), keep(parkable(1, 2*minute))}, 3 * minute, "-1@1 1@2"},
		{"an end that came late", []func(*gateway.Parked){keep(parkable(1, 2*minute)), keep(ended(1, minute))}, 3 * minute, "1@2"},
		{"a firing that is acted upon", []func(*gateway.Parked){
			keep(ended(1, minute)), keep(parkable(1, 2*minute)), drop(parkable(1, 3*minute)),
		}, 3 * minute, ""},
		{"the end of a parked end", []func(*gateway.Parked){keep(ended(1, minute)), drop(ended(1, 2*minute))}, 3 * minute, ""},
		{"an alert just not stale", []func(*gateway.Parked){keep(parkable(1, 0))}, 24*time.Hour - 1, "1@0"},
		{"a stale alert", []func(*gateway.Parked){keep(parkable(1, 0))}, 24 * time.Hour, ""},
		{"an event just not stale", []func(*gateway.Parked){keep(event(0))}, 15*minute - 1, "1@0"},
		{"a stale event", []func(*gateway.Parked){keep(event(0))}, 15 * minute, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p := gateway.NewParked(parkRules)
			for _, step := range test.steps {
				step(p)
			}
			before := p.Len()
			if due := p.Due(parkStart.Add(test.at), maxDue, always); len(due) > 0 {
				t.Errorf("due though all is still suppressed: %s", told(due))
			}
			if test.want != "" && p.Len() != before {
				t.Errorf("%d parked after a look, %d before", p.Len(), before)
			}
			if got := told(p.Due(parkStart.Add(test.at), maxDue, never)); got != test.want {
				t.Errorf("due %q, want %q", got, test.want)
			}
			if p.Len() > 0 || len(p.Due(parkStart.Add(test.at), maxDue, never)) > 0 {
				t.Error("what was due is still there")
			}
		})
	}
}

func TestParkedSharesNothing(t *testing.T) {
	t.Parallel()
	p := gateway.NewParked(parkRules)
	s := parkable(1, 0)
	s.Payload = []byte(strings.Repeat("a", 20<<10))
	s.Annotations = map[string]string{"summary": "full"}
	p.Keep(&s)
	copy(s.Payload, strings.Repeat("b", 20<<10))
	s.Labels["n"], s.Annotations["summary"] = "2", "empty"
	due := p.Due(parkStart, maxDue, never)
	if len(due) != 1 || due[0].Labels["n"] != "1" || due[0].Annotations["summary"] != "full" {
		t.Fatalf("due %+v", due)
	}
	if got, want := string(due[0].Payload), strings.Repeat("a", 8<<10+1); got != want {
		t.Errorf("a payload of %d bytes that begins with %.10s, want %d bytes", len(got), got, len(want))
	}
}

func TestParkedIsBounded(t *testing.T) {
	t.Parallel()
	const most = 10_000
	p := gateway.NewParked(parkRules)
	for i := range most + 10 {
		s := parkable(i, 0)
		p.Keep(&s)
	}
	due := p.Due(parkStart, maxDue, never)
	if len(due) != most || due[0].Labels["n"] != "10" || p.Lost() != 10 {
		t.Errorf("%d due, the first %v; %d lost", len(due), due[0].Labels, p.Lost())
	}

	large := parkable(1, 0)
	for i := range 100 {
		large = parkable(i, 0)
		large.Annotations = map[string]string{"text": strings.Repeat("x", 1<<20)}
		p.Keep(&large)
	}
	if n := p.Len(); n != 63 {
		t.Errorf("%d of 1 MiB each are parked, want 63 in 64 MiB", n)
	}
	large.Annotations["text"] = strings.Repeat("x", 64<<20)
	p.Keep(&large)
	if n := p.Len(); n != 0 {
		t.Errorf("%d parked beside one that is too large", n)
	}
}

// Whatever is kept and dropped, what is parked of an alert follows from what was
// told of that alert alone, its newest firing and the end before it.
func TestParkedFollowsFromEachAlert(t *testing.T) {
	t.Parallel()
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 7))
		p := gateway.NewParked(parkRules)
		// The same, in the plainest way: the last signals of each alert.
		type state struct{ resolved, firing *gateway.Signal }
		want := make(map[int]state)
		for i := range 60 {
			n, keep := random.IntN(3), random.IntN(4) > 0
			s := parkable(n, time.Duration(i)*time.Minute)
			s.StartsAt = parkStart.Add(time.Duration(random.IntN(i+1)) * time.Minute)
			if random.IntN(3) == 0 {
				s = ended(n, time.Duration(random.IntN(i+1))*time.Minute)
				s.ReceivedAt = parkStart.Add(time.Duration(i) * time.Minute)
			}
			now := want[n]
			late := s.Resolved && now.firing != nil && now.firing.StartsAt.After(s.EndsAt)
			switch {
			case keep && !s.Resolved:
				now.firing = &s
			case keep && !late:
				now = state{resolved: &s}
			case !late:
				now = state{}
			}
			want[n] = now
			if keep {
				p.Keep(&s)
			} else {
				p.Drop(&s)
			}
		}
		var all []gateway.Signal
		for _, s := range want {
			for _, one := range []*gateway.Signal{s.resolved, s.firing} {
				if one != nil {
					all = append(all, *one)
				}
			}
		}
		slices.SortFunc(all, func(a, b gateway.Signal) int { return a.ReceivedAt.Compare(b.ReceivedAt) })
		// Half of them stay suppressed: the others leave, and then these.
		odd := func(s *gateway.Signal) bool { return s.Labels["n"] == "1" }
		got := append(p.Due(parkStart.Add(time.Hour), maxDue, odd), p.Due(parkStart.Add(time.Hour), maxDue, never)...)
		slices.SortFunc(got, func(a, b gateway.Signal) int { return a.ReceivedAt.Compare(b.ReceivedAt) })
		if told(got) != told(all) {
			t.Fatalf("seed %d: due %q, want %q", seed, told(got), told(all))
		}
		if p.Len() > 0 {
			t.Fatalf("seed %d: %d left", seed, p.Len())
		}
	}
}

// Of what many keep, drop and look at, nothing is due twice, and nothing that was
// kept last is lost.
func TestParkedConcurrently(t *testing.T) {
	t.Parallel()
	p := gateway.NewParked(parkRules)
	const alerts, times = 50, 200
	due := make(chan gateway.Signal, alerts*times)
	var running sync.WaitGroup
	for n := range alerts {
		running.Go(func() {
			for i := range times {
				s := parkable(n, time.Duration(i)*time.Second)
				p.Keep(&s)
				if i%7 == 0 && i < times-1 {
					p.Drop(&s)
				}
			}
		})
	}
	for range 4 {
		running.Go(func() {
			for i := range times {
				for _, s := range p.Due(parkStart, maxDue, func(s *gateway.Signal) bool { return p.Len() > 0 && int(s.Alert[7])%3 != i%3 }) {
					due <- s
				}
			}
		})
	}
	running.Wait()
	for _, s := range p.Due(parkStart, maxDue, never) {
		due <- s
	}
	close(due)
	seen := make(map[string]int)
	last := make(map[string]time.Time)
	for s := range due {
		seen[told([]gateway.Signal{s})+s.ReceivedAt.String()]++
		if s.ReceivedAt.After(last[s.Labels["n"]]) {
			last[s.Labels["n"]] = s.ReceivedAt
		}
	}
	for what, n := range seen {
		if n > 1 {
			t.Errorf("%s was due %d times", what, n)
		}
	}
	if len(last) != alerts {
		t.Errorf("%d alerts were due, want %d", len(last), alerts)
	}
	for at := range maps.Values(last) {
		if want := parkStart.Add((times - 1) * time.Second); !at.Equal(want) {
			t.Errorf("the last that was due is of %v, want %v", at, want)
		}
	}
}

func BenchmarkParked(b *testing.B) {
	p := gateway.NewParked(parkRules)
	signals := make([]gateway.Signal, 10_000)
	for i := range signals {
		signals[i] = parkable(i, 0)
		signals[i].Payload = make([]byte, 700)
		p.Keep(&signals[i])
	}
	b.Run("keep", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			p.Keep(&signals[i%len(signals)])
		}
	})
	b.Run("due of 10000", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if due := p.Due(parkStart, maxDue, always); len(due) > 0 {
				b.Fatal(len(due))
			}
		}
	})
}
