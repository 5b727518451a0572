package policy_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"kubernaut.io/gateway"
	"kubernaut.io/gateway/policy"
)

// examples is where the policies are that the gateway comes with.
const examples = "../examples/policies"

// BenchmarkAnswer measures one evaluation of each example policy, and of one
// that uses every output. p99-µs is over all iterations.
func BenchmarkAnswer(b *testing.B) {
	policies := map[string]*policy.Policy{"everything": mustPolicy(b, everything, policy.Options{})}
	entries, err := os.ReadDir(examples)
	if err != nil {
		b.Fatal(err)
	}
	for _, e := range entries {
		p, err := policy.New(mustLoad(b, filepath.Join(examples, e.Name())), policy.Options{Timeout: time.Minute})
		if err != nil {
			b.Fatal(err)
		}
		policies[e.Name()] = p
	}
	for name, p := range policies {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			in := input()
			took := make([]time.Duration, 0, b.N)
			for b.Loop() {
				begun := time.Now()
				p.Answer(b.Context(), in)
				took = append(took, time.Since(begun))
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)*99/100].Nanoseconds())/1e3, "p99-µs")
		})
	}
}

// BenchmarkManyRules measures a policy of 300 rules that each compare a field
// with a constant, of which one applies.
func BenchmarkManyRules(b *testing.B) {
	var rules strings.Builder
	for i := range 300 {
		fmt.Fprintf(&rules, "path := \"manual\" if input.signal.labels.team == \"team-%d\"\n", i)
	}
	p := mustPolicy(b, rules.String(), policy.Options{})
	in := input()
	in.Signal.Labels["team"] = "team-150"
	b.ReportAllocs()
	for b.Loop() {
		if p.Answer(b.Context(), in).Path != gateway.Manual {
			b.Fatal("the rule was not taken")
		}
	}
}
