package attack

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
)

// attack is one row: what is done, what must happen, and both in code.
type attack struct {
	name, does, must string
	// takesLong is set for what is left out without -long.
	takesLong bool
	// alone is set for floods, which no other attack is measured beside.
	alone bool
	run   func(t *testing.T, w *world)
}

// area is a group of attacks.
type area struct {
	name    string
	attacks []attack
}

// areas are all there are, in the order of the report.
func areas() []area {
	return []area{
		{"Slow", slowAttacks},
		{"HTTP/2", streamAttacks},
		{"Framing", framingAttacks()},
		{"Protocol", protocolAttacks},
		{"Bodies", bodyAttacks},
		{"Credentials", credentialAttacks},
		{"TLS", tlsAttacks},
		{"Objects", objectAttacks},
		{"Output", outputAttacks},
		{"Paths", pathAttacks},
		{"Operators' port", operatorAttacks},
	}
}

// results are what became of each attack, by area and name.
type results struct {
	mu   sync.Mutex
	held map[string]bool
}

// TestAttacks does everything, floods first and one by one. After each attack a
// sender with credentials has to be accepted; in the end the gateways have to be
// alive, without a panic or a data race.
func TestAttacks(t *testing.T) {
	w := mustWorld(t)
	r := &results{held: make(map[string]bool)}
	t.Run("attacks", func(t *testing.T) {
		for _, alone := range []bool{true, false} {
			for _, a := range areas() {
				for i := range a.attacks {
					if a.attacks[i].alone == alone {
						r.play(t, w, a.name, &a.attacks[i])
					}
				}
			}
		}
	})
	if *update && !t.Failed() {
		if !*long {
			t.Fatal("-update needs -long: a table of results has all of them")
		}
		if err := os.WriteFile(report, []byte(edited(t)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func (r *results) play(t *testing.T, w *world, area string, a *attack) {
	t.Helper()
	t.Run(area+"/"+a.name, func(t *testing.T) {
		if a.takesLong && !*long {
			t.Skip("it takes long; -long runs it")
		}
		if !a.alone {
			t.Parallel()
		}
		a.run(t, w)
		w.plain.mustServeHonestly(t)
		r.mu.Lock()
		defer r.mu.Unlock()
		r.held[area+"/"+a.name] = !t.Failed()
	})
}

// The report, and the marks around its table.
const (
	report = "../../docs/security-audit.md"
	begin  = "<!-- attacks: written by make attack UPDATE=1 -->\n"
	end    = "<!-- end of attacks -->\n"
)

// rows returns the table as the report has to have it.
func rows() string {
	var b strings.Builder
	n := 0
	b.WriteString("| # | area | attack | what is done | what must happen | result |\n| ---: | --- | --- | --- | --- | --- |\n")
	for _, a := range areas() {
		for _, one := range a.attacks {
			n++
			form := "held"
			if one.takesLong {
				form = "held (long)"
			}
			fmt.Fprintf(&b, "| %d | %s | %s | %s | %s | %s |\n", n, a.name, one.name, one.does, one.must, form)
		}
	}
	return b.String()
}

// edited returns the report with the table as it has to be.
func edited(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(report)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(text), begin)
	_, after, ended := strings.Cut(rest, end)
	if !found || !ended {
		t.Fatalf("%s has no marks around its table", report)
	}
	return before + begin + "\n" + rows() + "\n" + end + after
}

// TestReport looks whether the report lists exactly the attacks, each told apart
// from the others, and enough of them.
func TestReport(t *testing.T) {
	var names []string
	for _, a := range areas() {
		for _, one := range a.attacks {
			names = append(names, a.name+"/"+one.name)
			if one.name == "" || one.does == "" || one.must == "" || one.run == nil || strings.ContainsAny(one.does+one.must+one.name, "|\n") {
				t.Errorf("%s/%s: a row is not complete, or breaks the table", a.name, one.name)
			}
		}
	}
	if len(names) < 60 {
		t.Errorf("%d attacks", len(names))
	}
	slices.Sort(names)
	if n := len(slices.Compact(slices.Clone(names))); n != len(names) {
		t.Errorf("%d names for %d attacks", n, len(names))
	}
	text, err := os.ReadFile(report)
	if err != nil {
		t.Fatal(err)
	}
	if string(text) != edited(t) && !*update {
		t.Errorf("%s does not list the attacks as they are; run make attack UPDATE=1", report)
	}
}
