package kube

import (
	"encoding/binary"
	"reflect"
	"sync"
	"testing"
	"time"

	"kubernaut.io/gateway"
)

// kind makes an observation one of a priority and environment, on a path.
func kind(o *observation, p gateway.Priority, environment string, path gateway.Path) *observation {
	o.request.Priority, o.request.Environment, o.request.Path = p, environment, path
	return o
}

func TestOverview(t *testing.T) {
	x := newDisputes()
	for i := range byte(3) {
		x.see(kind(opened(gateway.Fingerprint{1, i}, 1, 10, noon, 1), gateway.P0, "production", gateway.Conservative))
	}
	ended := kind(opened(gateway.Fingerprint{1, 9}, 1, 10, noon, 1), gateway.P0, "production", gateway.Conservative)
	ended.request.Phase = "processing" // another of its traits
	ended.request.Episode.Alerts = []gateway.Alert{{Hash: gateway.AlertHash{1}, StartsAt: noon, ResolvedAt: noon.Add(time.Minute)}}
	x.see(ended)
	x.mu.Lock()
	x.record(gateway.Fingerprint{1, 0}, 1).approval = approvalAwaited
	x.mu.Unlock()
	done := kind(opened(gateway.Fingerprint{2}, 1, 10, noon, 1), gateway.P1, "staging", gateway.Moderate)
	done.request.Phase = gateway.PhaseCompleted
	x.see(done)
	going := kind(opened(gateway.Fingerprint{3}, 1, 10, noon, 1), gateway.P1, "staging", gateway.Moderate)
	going.request.Deleting = true
	x.see(going)
	resolved := listed(gateway.Fingerprint{5}, noon.Add(time.Second), 1)
	resolved.ResolvedAt = micro(noon.Add(time.Minute))
	storm := crowd("shop", 1, 10, listed(gateway.Fingerprint{4}, noon, 1), resolved, listed(gateway.Fingerprint{6}, noon.Add(2*time.Second), 1))
	x.see(kind(storm, gateway.P2, "staging", gateway.Manual))
	over := crowd("past", 1, 11, listed(gateway.Fingerprint{7}, noon, 1))
	over.storm.closed = noon.Add(time.Hour)
	over.request.Phase = gateway.PhaseCompleted
	x.see(over)

	o := x.overview(2)
	want := []Active{
		{"production", gateway.P0, gateway.Conservative, 4, 3, 1},
		{"staging", gateway.P2, gateway.Manual, 1, 1, 0},
	}
	if o.Known != 8 || !reflect.DeepEqual(o.Active, want) {
		t.Errorf("of %d: %+v, want %+v", o.Known, o.Active, want)
	}
	if len(o.Storms) != 1 {
		t.Fatalf("storms: %+v", o.Storms)
	}
	s := o.Storms[0]
	if s.Group.Name != "shop" || s.Members != 3 || s.Firing != 2 || len(s.Listed) != 2 || s.Request != storm.Name {
		t.Errorf("%+v", s)
	}
	if m := s.Listed[1]; m.Fingerprint != (gateway.Fingerprint{5}) || !m.Resolved || m.Name != "Crash" || !m.Joined.Equal(noon.Add(time.Second)) {
		t.Errorf("%+v", m)
	}
}

// TestOverviewWhileTheIndexChanges is for the race detector, and for maps that
// grow and shrink under a walk.
func TestOverviewWhileTheIndexChanges(t *testing.T) {
	x := newDisputes()
	const stay = 1000
	number := func(i int) (f gateway.Fingerprint) {
		binary.BigEndian.PutUint32(f[:], uint32(i))
		return f
	}
	for i := range stay {
		x.see(opened(number(i), 1, 10, noon, 1))
	}
	var wait sync.WaitGroup
	for w := range 2 {
		wait.Go(func() {
			for i := range 2000 {
				f := number(stay*(w+2)*10 + i)
				x.see(opened(f, 1, 10, noon, 1))
				if i%2 == 0 {
					x.forget(key{f, 1}, 11)
				}
			}
		})
	}
	for range 20 {
		if o := x.overview(1); o.Known < stay || o.Active[0].Requests != o.Known {
			t.Errorf("%d are known, and %+v", o.Known, o.Active)
		}
	}
	wait.Wait()
	if o := x.overview(1); o.Known != stay+2*1000 {
		t.Errorf("%d are known in the end", o.Known)
	}
}

func BenchmarkOverview(b *testing.B) {
	x := newDisputes()
	for i := range 100_000 {
		var f gateway.Fingerprint
		binary.BigEndian.PutUint32(f[:], uint32(i))
		x.see(kind(opened(f, 1, 10, noon, 1), gateway.P0, "production", gateway.Conservative))
	}
	b.ReportAllocs()
	for b.Loop() {
		x.overview(50)
	}
}
