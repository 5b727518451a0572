package gateway_test

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	gateway "kubernaut.io/gateway"
)

// Process decides signals, and then has the decisions played again: all that
// tests see is decided twice, by the same answers.
func (r *replica) Process(ctx context.Context, signals []gateway.Signal) []gateway.Decision {
	if r.unplayed {
		return r.Pipeline.Process(ctx, signals)
	}
	again := slices.Clone(signals)
	rules := r.Rules()
	decisions := r.Pipeline.Process(ctx, signals)
	player := r.player(rules)
	played, faults := player.Process(again, recorded(r.t, decisions))
	for i := range decisions {
		r.wantPlayed(&decisions[i], &played[i], faults[i])
	}
	return decisions
}

// Drain is Process for a signal that the spool kept.
func (r *replica) Drain(ctx context.Context, s *gateway.Signal) gateway.Decision {
	again, rules := *s, r.Rules()
	d := r.Pipeline.Drain(ctx, s)
	played, fault := r.player(rules).Drain(&again, &recorded(r.t, []gateway.Decision{d})[0])
	r.wantPlayed(&d, &played, fault)
	return d
}

func (r *replica) player(rules *gateway.Rules) *gateway.Player {
	o := r.Options
	o.Rules = func() *gateway.Rules { return rules }
	return gateway.NewPlayer(o)
}

// recorded returns decisions as a recording gives them back.
func recorded(tb testing.TB, decisions []gateway.Decision) []gateway.Decision {
	tb.Helper()
	text, err := json.Marshal(decisions)
	if err != nil {
		tb.Fatal(err)
	}
	var again []gateway.Decision
	if err := json.Unmarshal(text, &again); err != nil {
		tb.Fatal(err)
	}
	return again
}

func (r *replica) wantPlayed(d, played *gateway.Decision, fault error) {
	r.t.Helper()
	if d.Reason == gateway.ReasonUnavailable && strings.HasPrefix(d.Detail, "panic") {
		return
	}
	want, err := json.Marshal(d)
	got, playedErr := json.Marshal(played)
	if fault != nil || err != nil || playedErr != nil || !bytes.Equal(got, want) {
		r.t.Errorf("played: %v\n%s\nrecorded:\n%s", fault, got, want)
	}
}
