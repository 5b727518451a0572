package gateway_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"kubernaut.io/gateway"
)

// hungLedger answers nothing before its caller gives up.
type hungLedger struct{ brokenLedger }

func (hungLedger) Recall(ctx context.Context, _ gateway.Fingerprint, _ gateway.AlertHash) (gateway.Memory, error) {
	<-ctx.Done()
	return gateway.Memory{}, ctx.Err()
}

func (hungLedger) Enter(ctx context.Context, _ []gateway.Entry) ([]gateway.Standing, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// slowLedger answers all right, but late.
type slowLedger struct {
	gateway.Ledger
	by time.Duration
}

func (s slowLedger) Recall(ctx context.Context, f gateway.Fingerprint, a gateway.AlertHash) (gateway.Memory, error) {
	select {
	case <-time.After(s.by):
		return s.Ledger.Recall(ctx, f, a)
	case <-ctx.Done():
		return gateway.Memory{}, ctx.Err()
	}
}

// TestLedgerHoldsUpASignalByAQuarterOfASecond: whatever the ledger does.
func TestLedgerHoldsUpASignalByAQuarterOfASecond(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		ledger gateway.Ledger
		want   time.Duration
	}{
		{"hung", hungLedger{}, 250 * time.Millisecond},
		{"slow", slowLedger{brokenLedger{}, 100 * time.Millisecond}, 100 * time.Millisecond},
		{"slower than there is patience for", slowLedger{brokenLedger{}, 2 * time.Second}, 250 * time.Millisecond},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				g := newReplica(t, newCluster(newClock()), test.ledger, func(o *gateway.Options) { o.Now = time.Now })
				begin := time.Now()
				g.wantOutcome(alert("KubePodCrashLooping", "shop", "cart"), gateway.Created, gateway.ReasonNewEpisode)
				if took := time.Since(begin); took != test.want {
					t.Errorf("held up by %s, want %s", took, test.want)
				}
			})
		})
	}
}
