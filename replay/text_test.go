package replay

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	gateway "kubernaut.io/gateway"
)

var update = flag.Bool("update", false, "write the texts that are wanted")

// golden compares a text with the one in testdata.
func golden(tb testing.TB, name, got string) {
	tb.Helper()
	file := filepath.Join("testdata", name+".txt")
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			tb.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			tb.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		tb.Fatal(err)
	}
	if got != string(want) {
		tb.Errorf("not as in %s; got:\n%s", file, got)
	}
}

// text returns the text of two runs, as wide as it may be and without anything
// that a terminal would obey.
func text(tb testing.TB, r, before *Report, d *Diff) string {
	tb.Helper()
	var b bytes.Buffer
	if err := WriteText(&b, r, before, d); err != nil {
		tb.Fatal(err)
	}
	for line := range strings.Lines(b.String()) {
		line = strings.TrimSuffix(line, "\n")
		if n := utf8.RuneCountInString(line); n > columns {
			tb.Errorf("%d columns: %s", n, line)
		}
		if strings.TrimRight(line, " ") != line {
			tb.Errorf("spaces at the end: %q", line)
		}
		if i := strings.IndexFunc(line, func(r rune) bool { return r == utf8.RuneError || !unicode.IsPrint(r) }); i >= 0 {
			tb.Errorf("not printable: %q", line)
		}
	}
	return b.String()
}

// report returns the report of signals, each of which created a request.
func report(signals ...*Decided) *Report {
	r := NewReport()
	for _, d := range signals {
		r.Add(d)
	}
	return r
}

// day returns a day of signals, by rules of two kinds.
func day(strict bool) []*Decided {
	var all []*Decided
	add := func(at time.Duration, namespace string, d gateway.Decision) {
		all = append(all, decided(morning.Add(at), namespace, d))
	}
	for hour := range 24 {
		for i := range 1 + (hour*hour)%7 {
			at := time.Duration(hour)*time.Hour + time.Duration(i)*time.Minute
			path, from := gateway.Conservative, "table production/P1"
			if strict {
				path, from = gateway.Manual, "policy paths.rego:12"
			}
			request := judgedAs(created(gateway.Production, gateway.P1, path), gateway.Judged{
				Environment: gateway.Environment{From: "label environment"}, Path: path,
				PriorityFrom: "table critical/production", PathFrom: from,
			})
			add(at, fmt.Sprintf("shop-%d", hour%13), request)
			next := gateway.Decision{Outcome: gateway.Duplicate, Reason: gateway.ReasonEpisodeOpen}
			if strict && i%2 == 0 {
				next = gateway.Decision{Outcome: gateway.Suppressed, Reason: gateway.ReasonSilenced, Detail: "silence night"}
			}
			add(at+time.Second, fmt.Sprintf("shop-%d", hour%13), next)
		}
	}
	storm := created(gateway.Staging, gateway.P2, gateway.Moderate)
	storm.Outcome, storm.Reason = gateway.Member, gateway.ReasonStormOpened
	add(24*time.Hour, "", storm)
	if strict {
		all[4].Decision = created(gateway.Production, gateway.P0, gateway.Aggressive)
	}
	return all
}

func compared(before, after []*Decided) *Diff {
	d := NewDiff()
	for i := range before {
		d.Add(before[i], after[i])
	}
	return d
}

func TestWriteText(t *testing.T) {
	before, after := day(false), day(true)
	spread := report(after...)
	spread.Add(decided(morning.Add(500*time.Hour), "shop", created(gateway.Production, gateway.P1, gateway.Manual)))
	quiet := report(decided(morning, "shop", gateway.Decision{Outcome: gateway.Rejected, Reason: gateway.ReasonInvalid}))

	evil := decided(morning, "\x1b[2Jshop\u202egnp.exe", created("prod\nP0 0 0", gateway.P1, gateway.Manual))
	evil.Signal.Name, evil.Signal.Severity = "\x1b]0;title\x07 \xff", "\u2066critical\u200f"
	evil.Request = "a\r\nb"
	evil.Decision.Detail = "\u2028" + strings.Repeat("long", 100)
	changed := again(evil, func(d *gateway.Decision) { d.Environment = "\x9b31m" })

	for _, test := range []struct {
		name      string
		r, before *Report
		d         *Diff
	}{
		{"alone", report(before...), nil, nil},
		{"alike", report(before...), report(before...), compared(before, before)},
		{"different", report(after...), report(before...), compared(before, after)},
		{"long", spread, nil, nil},
		{"empty", NewReport(), nil, nil},
		{"nothing-new", NewReport(), report(before...), NewDiff()},
		{"nothing-created", quiet, nil, nil},
		{"evil", report(changed), report(evil), compared([]*Decided{evil}, []*Decided{changed})},
	} {
		t.Run(test.name, func(t *testing.T) { golden(t, test.name, text(t, test.r, test.before, test.d)) })
	}
}

func TestWriteTextStaysWithinItsColumns(t *testing.T) {
	huge := NewReport()
	huge.Created.Total, huge.Signals, huge.Budget = 1_000_000_000, 2_000_000_000, 3_000_000_000
	huge.First, huge.Last = time.Time{}, time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)
	huge.Created.Hours = []Hour{{time.Time{}, 1}, {time.Date(9999, 12, 31, 23, 0, 0, 0, time.UTC), 1 << 40}}
	text(t, huge, huge, NewDiff())

	for seed := range uint64(20) {
		r, before, d := NewReport(), NewReport(), NewDiff()
		for one := range madeUp(seed, 200) {
			other := again(one, func(d *gateway.Decision) { d.Environment += strings.Repeat("x", int(seed)*20) })
			before.Add(one)
			r.Add(other)
			d.Add(one, other)
		}
		text(t, r, before, d)
	}
}

// TestChart holds the bars against the hours, for spans of every length.
func TestChart(t *testing.T) {
	bar := regexp.MustCompile(`(?m)^  [ ▁▂▃▄▅▆▇█]+$`)
	for hours := 1; hours <= 400; hours++ {
		r := report(
			decided(morning, "shop", created(gateway.Production, gateway.P1, gateway.Manual)),
			decided(morning.Add(time.Duration(hours)*time.Hour-time.Second), "shop", created(gateway.Production, gateway.P1, gateway.Manual)),
		)
		sums := span(r, NewReport()).bars(r.Created.Hours)
		sum := 0
		for _, n := range sums {
			sum += n
		}
		if sum != 2 || len(sums) > chartColumns || sums[0] == 0 || sums[len(sums)-1] == 0 {
			t.Errorf("%d hours: %v", hours, sums)
		}
		for _, line := range bar.FindAllString(text(t, r, nil, nil), -1) {
			if n := utf8.RuneCountInString(line) - 2; n > chartColumns || n < chartColumns/2 {
				t.Errorf("%d hours: %d columns", hours, n)
			}
		}
	}
}

func TestChange(t *testing.T) {
	for _, test := range []struct {
		before, after int
		want          string
	}{
		{0, 0, "0 %"}, {7, 7, "0 %"}, {0, 3, "new"}, {3, 0, "-100.0 %"}, {100, 120, "+20.0 %"}, {3, 4, "+33.3 %"}, {1, 100, "+9900.0 %"},
	} {
		if got := change(test.before, test.after); got != test.want {
			t.Errorf("%d to %d: got %s, want %s", test.before, test.after, got, test.want)
		}
	}
}

type brokenWriter struct{ err error }

// Write implements io.Writer.
func (w brokenWriter) Write([]byte) (int, error) { return 0, w.err }

func TestWriteTextReturnsTheWritersError(t *testing.T) {
	full := errors.New("disk full")
	if err := WriteText(brokenWriter{full}, report(day(false)...), nil, nil); !errors.Is(err, full) {
		t.Errorf("got %v", err)
	}
}
