package redisledger_test

import (
	"context"
	"testing"
	"time"

	gateway "kubernaut.io/gateway"
	"kubernaut.io/gateway/redisledger"
	"kubernaut.io/gateway/test/redistest"
)

// TestNotes follows sightings that nobody waits for.
func TestNotes(t *testing.T) {
	t.Parallel()
	s := redistest.MustStart(t, redistest.Options{})
	o := redisledger.Options{Addresses: []string{s.Address()}, KeyPrefix: "gateway"}
	r, other := connect(t, o), connect(t, o)
	f, member, at := newFingerprint(), newFingerprint(), now()
	seen := func(r *rig, f gateway.Fingerprint) time.Time {
		m, err := r.Recall(t.Context(), f, gateway.AlertHash{})
		must(t, err)
		return m.LastSeen
	}
	count := tally(f, at)
	storm := tally(f, at.Add(time.Second))
	storm.Request.Sequence, storm.Fingerprint, storm.Delta = 2, member, 3
	for range 100 {
		r.Note([]gateway.Tally{count, storm, count})
	}
	if got := seen(r, f); !got.Equal(at) {
		t.Errorf("this replica saw it last %v, want %v", got, at)
	}
	total := func(t gateway.Tally) int64 {
		t.Base, t.Delta = 0, 0
		totals, err := other.Count(context.Background(), []gateway.Tally{t})
		if err != nil {
			return -1
		}
		return totals[0]
	}
	eventually(t, "the storm counts 301", func() bool { return seen(other, member).Equal(storm.At) && total(storm) == 301 })
	if got := total(count); got != 201 {
		t.Errorf("the request counts %d, want 201", got)
	}
	if got := seen(other, f); !got.Equal(at) {
		t.Errorf("the other replica saw it last %v, want %v", got, at)
	}

	// What is noted last is sent when the replica stops.
	r.Note([]gateway.Tally{count})
	r.stop()
	if got := total(count); got != 202 {
		t.Errorf("the request counts %d when its replica has stopped, want 202", got)
	}
	strict{r, t}.check()
}

func TestNotesWithoutRedis(t *testing.T) {
	t.Parallel()
	s := redistest.MustStart(t, redistest.Options{})
	r := connect(t, redisledger.Options{Timeout: redisledger.DefaultTimeout, Addresses: []string{s.Address()}})
	must(t, s.Kill())
	f, at := newFingerprint(), now()
	const notes = 10
	for range notes {
		r.Note([]gateway.Tally{tally(f, at)})
	}
	r.said.await(t, true)
	r.Note([]gateway.Tally{tally(f, at)})
	query := tally(f, at)
	query.Delta = 0
	eventually(t, "this replica counts alone", func() bool {
		totals, err := r.Count(t.Context(), []gateway.Tally{query})
		return err == nil && totals[0] == 1+notes+1
	})
}

// TestEndsOutlastAnOutage keeps on this replica what Redis was not told.
func TestEndsOutlastAnOutage(t *testing.T) {
	t.Parallel()
	s := redistest.MustStart(t, redistest.Options{})
	r := connect(t, redisledger.Options{Timeout: redisledger.DefaultTimeout, Addresses: []string{s.Address()}})
	must(t, s.Kill())
	f, alert, at := newFingerprint(), gateway.AlertHash{1}, now()
	must(t, r.Remember(t.Context(), f, gateway.Sighting{Alert: alert, Resolved: true, At: at}))
	r.said.await(t, true)
	must(t, s.Restart(t.Context()))
	r.said.await(t, false)
	m, err := r.Recall(t.Context(), f, alert)
	if err != nil || !m.Alert.ResolvedAt.Equal(at) {
		t.Errorf("Recall = %+v, %v; want the end at %v", m, err, at)
	}
}
