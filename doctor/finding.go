package doctor

import (
	"cmp"
	"slices"
)

// Severity says what a fault does to alerts.
type Severity string

// The severities, the worst first.
const (
	// Loses: alerts or their ends don't reach the gateway, or it can't take them.
	Loses Severity = "loses"
	// Hides: trouble is told late, not at all while something else goes on, or as
	// less than it is.
	Hides Severity = "hides"
	// Doubles: one trouble comes as several.
	Doubles Severity = "doubles"
	// Notice is worth knowing, and may well be meant so.
	Notice Severity = "notice"
)

// Severities returns all there are, the worst first.
func Severities() []Severity { return []Severity{Loses, Hides, Doubles, Notice} }

// Finding is one fault of a sender's configuration.
type Finding struct {
	// ID names the kind of fault, as docs/doctor.md lists them.
	ID       string   `json:"id"`
	Severity Severity `json:"severity"`
	// File is the name of the file, or the URL of the running Alertmanager whose
	// configuration in force is meant.
	File string `json:"file"`
	// Line is where in it, from 1; 0 where no line is to blame. In a configuration
	// in force it counts the lines of the text that the API gives.
	Line int `json:"line,omitempty"`
	// Path is the key, such as receivers[0].webhook_configs[0].max_alerts.
	Path string `json:"path,omitempty"`
	// What says what is there.
	What string `json:"what"`
	// Why says in one sentence what comes of it.
	Why string `json:"why"`
	// Mend is YAML to paste, empty where none would do.
	Mend string `json:"mend,omitempty"`
}

// Report is what a diagnosis has found.
type Report struct {
	// Findings begin with the worst, then by file and line.
	Findings []Finding `json:"findings"`
	// Looked names what was looked at, for people: a clean bill of nothing is none.
	Looked []string `json:"looked"`
}

// Has reports whether there is a finding of one of the severities.
func (r *Report) Has(severities ...Severity) bool {
	return slices.ContainsFunc(r.Findings, func(f Finding) bool { return slices.Contains(severities, f.Severity) })
}

// Count returns how many findings have a severity.
func (r *Report) Count(s Severity) int {
	n := 0
	for i := range r.Findings {
		if r.Findings[i].Severity == s {
			n++
		}
	}
	return n
}

func (r *Report) sort() {
	rank := func(s Severity) int { return slices.Index(Severities(), s) }
	slices.SortStableFunc(r.Findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(rank(a.Severity), rank(b.Severity)),
			cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.ID, b.ID))
	})
}

// maxFindings bounds the findings of one file: whoever has more mends some first.
const maxFindings = 500

// findings gathers what is wrong with one document. Each kind is told once for
// one place.
type findings struct {
	file string
	all  []Finding
	seen map[[3]string]bool
}

// add notes a fault at a place. What is one of the texts that external names are
// quoted in.
func (f *findings) add(id string, at value, what, mend string) {
	key := [3]string{id, at.path, at.file}
	if f.seen[key] || len(f.all) >= maxFindings {
		return
	}
	if f.seen == nil {
		f.seen = make(map[[3]string]bool)
	}
	f.seen[key] = true
	k := kinds[id]
	f.all = append(f.all, Finding{
		ID: id, Severity: k.Severity, File: cmp.Or(at.file, f.file), Line: at.line, Path: at.path, What: what, Why: k.Why, Mend: mend,
	})
}

// has reports whether a fault of one of some kinds was found.
func (f *findings) has(ids ...string) bool {
	return slices.ContainsFunc(f.all, func(one Finding) bool { return slices.Contains(ids, one.ID) })
}
