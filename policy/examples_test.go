package policy_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kubernaut.io/gateway"
	"kubernaut.io/gateway/policy"
)

// TestExamples runs the tests of the policies that the gateway comes with, each
// as a team would copy it.
func TestExamples(t *testing.T) {
	entries, err := os.ReadDir(examples)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 7 {
		t.Errorf("%d examples, want 7", len(entries))
	}
	for _, e := range entries {
		t.Run(e.Name(), func(t *testing.T) {
			b := mustLoad(t, filepath.Join(examples, e.Name()))
			report, err := b.RunTests(t.Context(), true)
			if err != nil {
				t.Fatal(err)
			}
			for _, test := range report.Failures() {
				t.Errorf("%s: %s %s: %s", test.Location, test.Name, test.Status, test.Detail)
			}
			if len(report.Tests) < 5 || report.Coverage < 100 {
				t.Errorf("%d tests cover %.1f %%, without %s", len(report.Tests), report.Coverage, strings.Join(report.NotCovered, ", "))
			}
			if _, err := policy.New(b, policy.Options{}); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestFlappingWithoutACompletion asks of a request that is not finished: nothing
// is said of it, and nothing goes wrong.
func TestFlappingWithoutACompletion(t *testing.T) {
	p, err := policy.New(mustLoad(t, filepath.Join(examples, "flapping")), policy.Options{Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	in := input()
	in.Previous = &gateway.Request{Sequence: 1, Attempt: 1, Phase: "processing"}
	if got := p.Answer(t.Context(), in); got.Fault != "" || got.Path != "" {
		t.Errorf("answer is %+v", got)
	}
}
