package meet

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"kubernaut.io/gateway"
	"kubernaut.io/gateway/api/v1alpha1"
	"kubernaut.io/gateway/kube"
	"kubernaut.io/gateway/test/harness"
)

// Three replicas that see nothing of each other for a while make requests and
// memberships of the same troubles at random. When all is seen and at rest,
// each trouble has one place, and nothing that was delivered is missing.
func TestAtRest(t *testing.T) {
	p := newPlace(t)
	const seed, replicas, many = 1, 3, 40
	r := rand.New(rand.NewPCG(seed, 1))
	var veils []*veil
	var sinks []*kube.Sink
	for range replicas {
		v, via := veiled()
		sinks, veils = append(sinks, p.sink(via)), append(veils, v)
		v.freeze()
	}
	storms := make([]*gateway.Request, replicas)
	groups := []string{group(), group()}
	for i, s := range sinks {
		// The first two are of one group.
		o := stormOrder(p.signal(), groups[i/2], int64(i%2+1))
		storms[i] = p.create(s, o)
	}
	delivered := int64(0)
	containers := make(map[gateway.Fingerprint]map[string]bool)
	var all sync.WaitGroup
	for range many {
		trouble := troubles.Add(1)
		for i, s := range sinks {
			signal := p.again(trouble, fmt.Sprintf("container-%d", i))
			how := r.IntN(3)
			if how == 2 {
				continue
			}
			if containers[signal.Fingerprint] == nil {
				containers[signal.Fingerprint] = make(map[string]bool)
			}
			containers[signal.Fingerprint][signal.Alert.String()] = true
			again := r.IntN(4)
			delivered += int64(1 + again)
			all.Go(func() {
				place := storms[i]
				if how == 0 {
					place = p.create(s, order(signal, int64(1+i)))
				} else {
					p.join(s, place, signal)
				}
				for range again {
					s.Note(signal.Fingerprint, place, gateway.SightingOf(signal))
				}
			})
		}
	}
	all.Wait()
	for _, v := range veils {
		v.thaw()
	}
	harness.Eventually(t, "each trouble to have one place", func() bool { return len(p.twice()) == 0 && p.total() == delivered })
	for f, alerts := range containers {
		if known := p.alertsOf(f); len(known) != len(alerts) {
			t.Errorf("%s has %d alerts, %d were seen", f, len(known), len(alerts))
		}
		for _, s := range sinks {
			harness.Eventually(t, "all replicas to agree", func() bool {
				one, _ := sinks[0].Newest(f)
				other, _ := s.Newest(f)
				return one != nil && other != nil && one.Name() == other.Name()
			})
		}
	}
	for _, rr := range p.list() {
		p.members(rr)
	}
	t.Logf("struck %d, withdrawn %d, joined %d", p.settled.count(kube.Struck), p.settled.count(kube.Withdrawn), p.settled.count(kube.Joined))
}

// twice returns the troubles that have more than one place.
func (p *place) twice() []string {
	p.Helper()
	places := make(map[string]int)
	for _, rr := range p.list() {
		places[rr.Spec.SignalFingerprint]++
		for f := range p.members(rr) {
			places[f]++
		}
	}
	var twice []string
	for f, n := range places {
		if n > 1 {
			twice = append(twice, f)
		}
	}
	return twice
}

// total returns the sum of all counts.
func (p *place) total() (n int64) {
	p.Helper()
	for _, rr := range p.list() {
		n += count(rr)
	}
	return n
}

// alertsOf returns the alerts that are known of a trouble.
func (p *place) alertsOf(f gateway.Fingerprint) map[string]bool {
	p.Helper()
	known := make(map[string]bool)
	for _, rr := range p.list() {
		if rr.Spec.SignalFingerprint == f.String() {
			if rr.Status.Deduplication == nil {
				known[rr.Spec.AlertHash] = true
				continue
			}
			for _, a := range rr.Status.Deduplication.Alerts {
				known[a.Hash] = true
			}
		}
		if m, there := p.members(rr)[f.String()]; there {
			for _, hash := range alertsIn(m) {
				known[hash] = true
			}
		}
	}
	return known
}

func alertsIn(m v1alpha1.StormMember) (hashes []string) {
	if m.Alert != "" {
		hashes = append(hashes, m.Alert)
	}
	for _, a := range m.Alerts {
		hashes = append(hashes, a.Hash)
	}
	return hashes
}
