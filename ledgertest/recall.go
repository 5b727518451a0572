package ledgertest

import (
	"testing"
	"time"

	gateway "kubernaut.io/gateway"
)

func (b *bench) wantAlert(f gateway.Fingerprint, want gateway.Alert) {
	b.t.Helper()
	got := b.recall(f, want.Hash).Alert
	if got.Hash != want.Hash || !got.StartsAt.Equal(want.StartsAt) || !got.ResolvedAt.Equal(want.ResolvedAt) {
		b.t.Errorf("Recall returned the alert %+v, want %+v", got, want)
	}
}

func (b *bench) wantForgotten(f gateway.Fingerprint, a gateway.AlertHash) {
	b.t.Helper()
	if got := b.recall(f, a).Alert; got != (gateway.Alert{}) {
		b.t.Errorf("Recall returned the alert %+v, want none", got)
	}
}

// ended is a resolved received so long after the test's beginning, of an alert
// that began an hour before its end.
func (b *bench) ended(a gateway.AlertHash, after time.Duration) gateway.Sighting {
	at := b.at(after)
	return gateway.Sighting{Alert: a, Resolved: true, StartsAt: at.Add(-time.Hour), EndsAt: at, At: at}
}

func recallNothing(t *testing.T, b *bench) {
	if got := b.recall(newFingerprint(), newAlert()); got != (gateway.Memory{}) {
		t.Errorf("Recall = %+v, want the zero Memory", got)
	}
}

func recallRemembered(t *testing.T, b *bench) {
	f, a := newFingerprint(), newAlert()
	s := b.ended(a, 0)
	b.remember(f, s)
	b.wantAlert(f, gateway.Alert{Hash: a, StartsAt: s.StartsAt, ResolvedAt: s.At})
	if got := b.recall(f, a).LastSeen; !got.IsZero() {
		t.Errorf("a resolved was taken for a sighting at %v", got)
	}

	// An alert whose start its sender did not tell credibly.
	s.Alert, s.StartsAt = newAlert(), time.Time{}
	b.remember(f, s)
	b.wantAlert(f, gateway.Alert{Hash: s.Alert, ResolvedAt: s.At})
}

func recallApart(_ *testing.T, b *bench) {
	f, a := newFingerprint(), newAlert()
	b.remember(f, b.ended(a, 0))
	b.wantForgotten(f, newAlert())
	b.wantForgotten(newFingerprint(), a)
	b.count(b.tally(f, 0, 1))
	if got := b.recall(f, newAlert()); !got.LastSeen.Equal(b.now) {
		b.t.Errorf("another alert of the fingerprint recalls %+v, want it last seen %v", got, b.now)
	}
}

func rememberOlder(_ *testing.T, b *bench) {
	f, a := newFingerprint(), newAlert()
	older, newer := b.ended(a, 0), b.ended(a, time.Second)
	b.remember(f, newer)
	b.remember(f, older)
	b.wantAlert(f, gateway.Alert{Hash: a, StartsAt: newer.StartsAt, ResolvedAt: newer.At})
}
