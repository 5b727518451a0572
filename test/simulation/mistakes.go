package simulation

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	gateway "kubernaut.io/gateway"
	"kubernaut.io/gateway/api/v1alpha1"
)

// errElsewhere is what a create that was left to another replica fails with.
var errElsewhere = errors.New("somebody else has it, or is at it")

// ledgerSequence numbers a fingerprint's requests by a counter in the ledger,
// which goes with the ledger's memory.
func ledgerSequence(w *world, rr *v1alpha1.RemediationRequest) string {
	f := gateway.Fingerprint(sha256.Sum256([]byte("number of " + rr.Spec.SignalFingerprint)))
	key := gateway.Key{Fingerprint: f, Sequence: 1}
	n, _ := w.ledger.mem.Load().Count(context.Background(), []gateway.Tally{{Request: key, Fingerprint: f, Delta: 1, At: time.Now()}})
	return fmt.Sprintf("%s-%d", rr.Spec.SignalFingerprint, n[0])
}

// withoutVersion takes the resourceVersion out of an apply.
func withoutVersion(body []byte) []byte {
	var doc map[string]json.RawMessage
	var meta map[string]string
	if json.Unmarshal(body, &doc) != nil || json.Unmarshal(doc["metadata"], &meta) != nil {
		return body
	}
	delete(meta, "resourceVersion")
	doc["metadata"] = mustMarshal(meta)
	return mustMarshal(doc)
}

// final takes a name that is taken for a request that is there.
type final struct{ gateway.Sink }

// Create implements gateway.Sink.
func (s final) Create(ctx context.Context, o *gateway.Order) (*gateway.Request, error) {
	r, err := s.Sink.Create(ctx, o)
	if errors.Is(err, gateway.ErrStale) {
		return &gateway.Request{Fingerprint: o.Fingerprint, Sequence: o.Sequence, Attempt: o.Attempt, Created: o.Signal.ReceivedAt}, nil
	}
	return r, err
}

// looks reads live whether an unfinished request of a fingerprint is there.
func looks(ctx context.Context, in *incarnation, f gateway.Fingerprint) (there bool, err error) {
	return await(ctx, in.world, in.name+" looks for "+label(f), nil, func(_ fault, answer func(bool)) {
		answer(slices.ContainsFunc(in.world.api.of(f.String()), func(o *object) bool {
			return o.rr.DeletionTimestamp == nil && !gateway.Phase(o.rr.Status.OverallPhase).Terminal()
		}))
	}, nil)
}

// checking creates what it has not found.
type checking struct {
	gateway.Sink
	in *incarnation
}

// Create implements gateway.Sink.
func (s checking) Create(ctx context.Context, o *gateway.Order) (*gateway.Request, error) {
	there, err := looks(ctx, s.in, o.Fingerprint)
	if err != nil || there {
		return nil, errors.Join(err, errElsewhere)
	}
	return s.Sink.Create(ctx, o)
}

// lockLife is after how long a lock is free though its holder may be alive.
const lockLife = 5 * time.Second

// locking creates what it has not found, under a lock that expires.
type locking struct {
	gateway.Sink
	in *incarnation
}

// Create implements gateway.Sink.
func (s locking) Create(ctx context.Context, o *gateway.Order) (*gateway.Request, error) {
	w := s.in.world
	mine, err := await(ctx, w, s.in.name+" locks "+label(o.Fingerprint), nil, func(_ fault, answer func(bool)) {
		free := time.Now().After(w.locks[o.Fingerprint])
		if free {
			w.locks[o.Fingerprint] = time.Now().Add(lockLife)
		}
		answer(free)
	}, nil)
	if err != nil || !mine {
		return nil, errors.Join(err, errElsewhere)
	}
	return checking(s).Create(ctx, o)
}

// wholesale ends all alerts of an episode with any of them.
type wholesale struct{ gateway.Sink }

// Resolve implements gateway.Sink.
func (s wholesale) Resolve(ctx context.Context, f gateway.Fingerprint, newest *gateway.Request, sighting gateway.Sighting) error {
	for _, a := range newest.Episode.Alerts {
		each := sighting
		each.Alert = a.Hash
		if err := s.Sink.Resolve(ctx, f, newest, each); err != nil {
			return err
		}
	}
	return nil
}

// hasty says that a signal is on the disk before it is.
type hasty struct{ spooling }

// Append implements gateway.Spool.
func (s hasty) Append(_ context.Context, signal *gateway.Signal) error {
	kept := *signal
	go func() { _ = s.spooling.Append(s.in.ctx, &kept) }()
	return nil
}

// unheld lets later signals pass by those in the spool.
type unheld struct{ spooling }

// Holds implements gateway.Spool.
func (unheld) Holds(f gateway.Fingerprint) bool {
	stagger(f)
	return false
}

// unsettled decides without finding out what became of a create before.
type unsettled struct{ gateway.Sink }

// Settle implements gateway.Sink.
func (s unsettled) Settle(ctx context.Context, f gateway.Fingerprint) error {
	if s.Current() {
		return nil
	}
	return s.Sink.Settle(ctx, f)
}

// trusting believes its watch however long that has been silent.
type trusting struct{ gateway.Sink }

// Current implements gateway.Sink.
func (trusting) Current() bool { return true }

// Settle implements gateway.Sink.
func (s trusting) Settle(ctx context.Context, f gateway.Fingerprint) error {
	if !s.Sink.Current() {
		return nil
	}
	return s.Sink.Settle(ctx, f)
}

// hastyJoin says that an episode is a member before it is.
type hastyJoin struct {
	gateway.Sink
	in *incarnation
}

// Join implements gateway.Sink.
func (s hastyJoin) Join(_ context.Context, storm *gateway.Request, j gateway.Joining) (gateway.Noted, error) {
	signal := *j.Signal
	j.Signal = &signal
	go func() { _, _ = s.Sink.Join(s.in.ctx, storm, j) }()
	return gateway.Noted{}, nil
}

// hastyEnd says that an end is written before it is.
type hastyEnd struct {
	gateway.Sink
	in *incarnation
}

// Resolve implements gateway.Sink.
func (s hastyEnd) Resolve(_ context.Context, f gateway.Fingerprint, newest *gateway.Request, sighting gateway.Sighting) error {
	go func() { _ = s.Sink.Resolve(s.in.ctx, f, newest, sighting) }()
	return nil
}

// undying remembers a request that has gone.
type undying struct {
	gateway.Sink
	seen *sync.Map
}

// Newest implements gateway.Sink.
func (s undying) Newest(f gateway.Fingerprint) (*gateway.Request, int64) {
	newest, highest := s.Sink.Newest(f)
	if newest != nil {
		s.seen.Store(f, newest)
	} else if was, ok := s.seen.Load(f); ok {
		return was.(*gateway.Request), was.(*gateway.Request).Sequence
	}
	return newest, highest
}

// byLedger takes as done what the ledger has seen within the window, whoever
// saw it and whatever became of it.
func byLedger(ctx context.Context, d *delivery) (accepted bool) {
	mem := d.in.world.ledger.mem.Load()
	var fresh []gateway.Signal
	for i := range d.signals {
		f, now := d.of[i].fingerprint, time.Now()
		m, _ := mem.Recall(ctx, f, gateway.AlertHash{})
		if d.signals[i].Resolved || now.Sub(m.LastSeen) >= window {
			fresh = append(fresh, d.signals[i])
		}
		mem.Note([]gateway.Tally{{Request: gateway.Key{Fingerprint: f}, Fingerprint: f, Delta: 1, At: now}})
	}
	return !slices.ContainsFunc(d.in.pipeline.Process(ctx, fresh), func(e gateway.Decision) bool { return e.Outcome == gateway.Failed })
}
