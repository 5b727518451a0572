package redisledger_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	gateway "kubernaut.io/gateway"
	"kubernaut.io/gateway/redisledger"
	"kubernaut.io/gateway/test/redistest"
)

// TestPasswordIsReadAgain rotates the password: the old one stops working before
// the ledger is told the new one.
func TestPasswordIsReadAgain(t *testing.T) {
	t.Parallel()
	s := redistest.MustStart(t, redistest.Options{Users: []string{aclUser}})
	var password atomic.Value
	password.Store("secret")
	r := connect(t, redisledger.Options{
		Timeout: redisledger.DefaultTimeout, Addresses: []string{s.Address()}, Username: "gateway",
		Password: func() (string, error) {
			if p := password.Load().(string); p != "" {
				return p, nil
			}
			return "", errors.New("no such file")
		},
	})
	s.MustDo(t, "ACL", "SETUSER", "gateway", "resetpass", ">other")
	password.Store("")
	s.MustDo(t, "CLIENT", "KILL", "USER", "gateway")
	signals := r.send(t)
	r.said.await(t, true)
	eventually(t, "Degraded says why", func() bool { return strings.Contains(r.Degraded(), "no such file") })
	password.Store("other")
	r.said.await(t, false)
	signals.stop()
	r.wantShared(t)
}

// TestForgetfulRedis loses everything, the scripts too, which is no outage.
func TestForgetfulRedis(t *testing.T) {
	t.Parallel()
	s := redistest.MustStart(t, redistest.Options{})
	r := connect(t, redisledger.Options{Addresses: []string{s.Address()}})
	signals := r.send(t)
	for range 20 {
		s.MustDo(t, "FLUSHALL")
		s.MustDo(t, "SCRIPT", "FLUSH")
		signals.more(t, 4)
	}
	signals.stop()
	r.wantShared(t)
	strict{r, t}.check()
}

// TestFaultsOfCalls are those after which Redis is as good as before.
func TestFaultsOfCalls(t *testing.T) {
	t.Parallel()
	s := redistest.MustStart(t, redistest.Options{})
	r := connect(t, redisledger.Options{Addresses: []string{s.Address()}, KeyPrefix: "gateway"})
	at := now()
	key := func(f gateway.Fingerprint) string { return "gateway:1:f:{" + f.String()[:32] + "}" }
	tests := []struct {
		name string
		call func(t *testing.T) error
	}{
		{"another type of key", func(t *testing.T) error {
			t.Helper()
			f := newFingerprint()
			s.MustDo(t, "SET", key(f), "x")
			got, err := r.Count(t.Context(), []gateway.Tally{tally(f, at)})
			if err == nil && got[0] != 2 {
				t.Errorf("counts %v", got)
			}
			return err
		}},
		{"no number", func(t *testing.T) error {
			t.Helper()
			f := newFingerprint()
			s.MustDo(t, "HSET", key(f), "s", "soon")
			_, err := r.Recall(t.Context(), f, gateway.AlertHash{})
			return err
		}},
		{"a caller that is gone", func(t *testing.T) error {
			t.Helper()
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			_, err := r.Recall(ctx, newFingerprint(), gateway.AlertHash{})
			return err
		}},
		{"a caller without time", func(t *testing.T) error {
			t.Helper()
			ctx, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
			defer cancel()
			_, err := r.Recall(ctx, newFingerprint(), gateway.AlertHash{})
			return err
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			before := r.said.failed.Load()
			if err := test.call(t); err != nil {
				t.Errorf("the call failed: %v", err)
			}
			if r.said.failed.Load() == before {
				t.Error("the fault was not counted")
			}
			r.wantShared(t)
		})
	}
	if len(r.said.degraded) > 0 {
		t.Error("the circuit was open in between")
	}
}
