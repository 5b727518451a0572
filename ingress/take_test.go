package ingress_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"

	gateway "kubernaut.io/gateway"
	"kubernaut.io/gateway/ingress"
)

// TestTake answers for a body without a request what its sender would be told.
func TestTake(t *testing.T) {
	var heard []ingress.Heard
	var exchanged []ingress.Exchange
	h, err := ingress.New(ingress.Options{
		Sources: []ingress.Source{
			{Name: "events", Decode: decode, Authenticate: ingress.None{}},
			{Name: "slow", Decode: decode, Authenticate: ingress.None{}, Rate: ingress.Rate{SignalsPerSecond: 0.001, Burst: 1}},
		},
		Processor: &processor{decide: byName}, Observer: &observer{}, Logger: slog.New(slog.DiscardHandler),
		Namespace: "default", MaxBodyBytes: maxBody, Heard: func(told ingress.Heard) { heard = append(heard, told) },
		Exchanged: func(x ingress.Exchange) { exchanged = append(exchanged, x) },
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name, source, body string
		taken, never       bool
	}{
		{"created", "events", names("created"), true, false},
		{"refused for good by the API", "events", names("rejected"), true, false},
		{"failed", "events", names("created", "failed"), false, false},
		{"invalid", "events", names("invalid"), false, true},
		{"no JSON", "events", "{", false, true},
		{"too large", "events", names(string(make([]byte, maxBody))), false, true},
		{"no such source", "other", names("created"), false, true},
		{"within the rate", "slow", names("created"), true, false},
		{"beyond the rate", "slow", names("created"), false, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			err := h.Take(t.Context(), row.source, []byte(row.body))
			if (err == nil) != row.taken || errors.Is(err, ingress.ErrNeverTaken) != row.never {
				t.Errorf("got %v", err)
			}
		})
	}
	if len(heard) != 5 || heard[0].Source != "events" || heard[0].Decisions[0].Outcome != gateway.Created {
		t.Errorf("heard were %d: %+v", len(heard), heard)
	}
	if x := exchanged[0]; len(exchanged) != len(heard) || x.Method != ingress.MethodWatch || x.Names[0] != "created" || x.RequestID != heard[0].RequestID {
		t.Errorf("exchanged were %d: %+v", len(exchanged), exchanged)
	}
	if len(heard[0].Signals) != 1 {
		t.Errorf("heard of %+v", heard[0].Signals)
	}
	h.Hold()
	if err := h.Take(t.Context(), "events", []byte(names("created"))); err == nil || errors.Is(err, ingress.ErrNeverTaken) {
		t.Errorf("while it starts: %v", err)
	}
	h.Open()
	if err := h.Drain(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := h.Take(t.Context(), "events", []byte(names("created"))); err == nil || errors.Is(err, ingress.ErrNeverTaken) {
		t.Errorf("while it stops: %v", err)
	}
}
