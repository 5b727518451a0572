package doctor_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"kubernaut.io/gateway/doctor"
)

// The page lists every kind of fault with its severity, and no other.
func TestDocumentedFindings(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("../docs/doctor.md")
	if err != nil {
		t.Fatal(err)
	}
	_, list, _ := strings.Cut(string(raw), "## What is looked for")
	kinds := doctor.Kinds()
	for _, k := range kinds {
		if row := fmt.Sprintf("| `%s` | %s | ", k.ID, k.Severity); !strings.Contains(list, row) {
			t.Errorf("docs/doctor.md lacks the row %s", row)
		}
		if !strings.HasSuffix(k.Why, ".") {
			t.Errorf("%s: %q is no sentence", k.ID, k.Why)
		}
	}
	if rows := strings.Count(list, "\n| `"); rows != len(kinds) {
		t.Errorf("%d rows for %d kinds", rows, len(kinds))
	}
}

// What the README tells people to write is good.
func TestReadmeIsWell(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(raw), "In Alertmanager's configuration:")
	_, rest, _ = strings.Cut(rest, "```yaml\n")
	block, _, found := strings.Cut(rest, "```")
	if report := mustDiagnose(t, options(ours(), "README", block)); !found || len(report.Findings) > 0 {
		t.Errorf("%s\n%s", block, shown(report))
	}
}
