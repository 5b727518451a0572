package policy_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/util/validation"

	"kubernaut.io/gateway"
	"kubernaut.io/gateway/policy"
)

// everything gives each output by several rules, of several kinds.
const everything = `
default path := "conservative"

path := "manual" if input.storm.members > 10

path := "moderate" if {
	input.environment == "staging"
	input.attempt == 1
}

priority := "P0" if {
	some key, value in input.signal.labels
	startswith(key, "tier")
	value == "gold"
}

priority := "P1" if input.previous.phase == "failed"

suppress if {
	input.weekday in {"Saturday", "Sunday"}
	input.clock > "20:00"
}

labels[key] := value if some key, value in input.signal.labels

labels.bucket := substring(crypto.sha256(input.signal.name), 0, 2)

reason := sprintf("%s %s %v %v", [input.signal.name, input.date, input.budget.cluster.used, labels])
`

func randomInput(r *rand.Rand) *gateway.PolicyInput {
	pick := func(words ...string) string { return words[r.IntN(len(words))] }
	in := input()
	in.Signal.Name = pick("A", "B", "C")
	in.Signal.Labels = map[string]string{}
	for range r.IntN(20) {
		in.Signal.Labels[pick("tier", "tier2", "a", "b", "c", "d d", "e/f", "kubernaut.io/x")] = pick("gold", "x", "not valid", "")
	}
	in.Environment.Name = pick("staging", "production", "unknown")
	in.Attempt = 1 + r.Int64N(3)
	in.Time = noon.Add(time.Duration(r.IntN(10_000)) * time.Minute)
	if r.IntN(2) == 0 {
		in.Storm = &gateway.StormInput{Group: gateway.Group{Kind: gateway.StormPattern, Name: "A"}, Members: r.IntN(20)}
	}
	if r.IntN(2) == 0 {
		in.Previous = &gateway.Request{Sequence: 1, Phase: gateway.Phase(pick("failed", "completed", "")), CompletedAt: in.Time}
	}
	in.Budget.Cluster = r.IntN(20)
	return in
}

// TestEqualInputGivesEqualAnswer asks two policies of the same files, from
// several goroutines: a decision can be repeated exactly.
func TestEqualInputGivesEqualAnswer(t *testing.T) {
	policies := []*policy.Policy{mustPolicy(t, everything, policy.Options{}), mustPolicy(t, everything, policy.Options{})}
	r := rand.New(rand.NewPCG(1, 2))
	distinct := make(map[string]bool)
	for range 300 {
		in := randomInput(r)
		answers := make([]gateway.PolicyAnswer, 4)
		var wait sync.WaitGroup
		for i := range answers {
			wait.Go(func() { answers[i] = policies[i%2].Answer(t.Context(), in) })
		}
		wait.Wait()
		for _, a := range answers[1:] {
			if !reflect.DeepEqual(a, answers[0]) {
				t.Fatalf("one input, two answers:\n%+v\n%+v", answers[0], a)
			}
		}
		mustBeValid(t, answers[0])
		distinct[fmt.Sprint(answers[0])] = true
	}
	if len(distinct) < 100 {
		t.Errorf("only %d different answers: the inputs do not tell anything apart", len(distinct))
	}
}

// mustBeValid checks that whatever is answered may be written on a request.
func mustBeValid(t *testing.T, a gateway.PolicyAnswer) {
	t.Helper()
	switch a.Priority {
	case "", gateway.P0, gateway.P1, gateway.P2, gateway.P3:
	default:
		t.Errorf("priority %q", a.Priority)
	}
	switch a.Path {
	case "", gateway.Manual, gateway.Conservative, gateway.Moderate, gateway.Aggressive:
	default:
		t.Errorf("path %q", a.Path)
	}
	if len(a.Labels) > 16 {
		t.Errorf("%d labels", len(a.Labels))
	}
	for k, v := range a.Labels {
		if len(validation.IsQualifiedName(k))+len(validation.IsValidLabelValue(v)) > 0 {
			t.Errorf("label %q: %q", k, v)
		}
	}
	for _, text := range []string{a.Reason, a.Fault} {
		if n := utf8.RuneCountInString(text); n > 500 || !utf8.ValidString(text) {
			t.Errorf("a text of %d runes: %q", n, text)
		}
	}
}

// FuzzOutputs gives every output whatever value JSON has.
func FuzzOutputs(f *testing.F) {
	for _, seed := range []string{
		`{"priority": "P0", "path": "manual", "suppress": true, "labels": {"a": "b"}, "reason": "because"}`,
		`{"priority": 1, "path": null, "suppress": "no", "labels": ["a"], "reason": {}}`,
		`{"labels": {"kubernaut.io/x": "y", "a": 1, "b": null, "c c": "", "d": "\u0000"}, "reason": "\n\ud800"}`,
		`{"labels": {"": "", "a/": "b", "/a": "b", "a/b/c": "d"}}`, `[]`, `"x"`, `{"path": 1e400}`,
	} {
		f.Add(seed)
	}
	p := mustPolicy(f, `
said := json.unmarshal(input.signal.annotations.say)
priority := said.priority
path := said.path
suppress := said.suppress
labels := said.labels
reason := said.reason
`, policy.Options{})
	f.Fuzz(func(t *testing.T, say string) {
		in := input()
		in.Signal.Annotations = map[string]string{"say": say}
		got := p.Answer(t.Context(), in)
		mustBeValid(t, got)
		var said struct {
			Priority, Path string
			Suppress       bool
		}
		if json.Unmarshal([]byte(say), &said) == nil && got.Fault == "" && (got.Suppress && !said.Suppress) {
			t.Errorf("%s: suppressed", say)
		}
	})
}
