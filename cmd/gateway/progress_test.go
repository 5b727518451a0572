package main

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"kubernaut.io/gateway/app"
)

// screen is what a terminal shows of what is written to it: the line after the
// last return and what was erased.
func screen(written string) string {
	line := ""
	for part := range strings.SplitSeq(written, "\r") {
		if rest, erased := strings.CutPrefix(part, "\x1b[K"); erased {
			line, part = "", rest
		}
		part = strings.TrimSuffix(part, "\x1b[0K")
		if len(part) < len(line) && part != "" {
			part += line[len(part):]
		}
		if part != "" {
			line = part
		}
	}
	return line
}

func TestProgress(t *testing.T) {
	// A point in time, what was reported then, and what is to be seen.
	type step struct {
		at   time.Duration
		is   app.ReplayProgress
		want string
	}
	for name, test := range map[string]struct {
		terminal bool
		steps    []step
		// last is what stays when it is over.
		last string
	}{
		"a bar": {true, []step{
			{100 * time.Millisecond, app.ReplayProgress{Signals: 512, Read: 10, Size: 1000}, ""},
			{time.Second, app.ReplayProgress{Signals: 1000, Read: 250, Size: 1000}, "1000 signals, 1000 a second, 3s left  25% |███████                       |"},
			{time.Second + 50*time.Millisecond, app.ReplayProgress{Signals: 1100, Read: 500, Size: 1000}, "1000 signals, 1000 a second, 3s left  25%"},
			{2 * time.Second, app.ReplayProgress{Signals: 3000, Read: 500, Size: 1000}, "3000 signals, 1500 a second, 2s left  50% |███████████████               |"},
			{4 * time.Second, app.ReplayProgress{Signals: 9000, Read: 1000, Size: 1000}, "9000 signals, 2250 a second"},
			{5 * time.Second, app.ReplayProgress{Signals: 9500, Read: 1200, Size: 1000}, "9500 signals, 1900 a second"},
		}, ""},
		"a count where the size is not known": {true, []step{
			{2 * time.Second, app.ReplayProgress{Signals: 3000, Read: 500}, "3000 signals, 1500 a second"},
		}, ""},
		"nothing of what is soon over": {true, []step{{400 * time.Millisecond, app.ReplayProgress{Signals: 3000}, ""}}, ""},
		"lines": {false, []step{
			{9 * time.Second, app.ReplayProgress{Signals: 900, Read: 10, Size: 100}, ""},
			{10 * time.Second, app.ReplayProgress{Signals: 1000, Read: 25, Size: 100}, "replayed 1000 signals, 100 a second, 25 % read, 30s left\n"},
			{19 * time.Second, app.ReplayProgress{Signals: 1900, Read: 50, Size: 100}, "replayed 1000 signals, 100 a second, 25 % read, 30s left\n"},
			{40 * time.Second, app.ReplayProgress{Signals: 2000}, "replayed 2000 signals, 50 a second\n"},
		}, "replayed 1000 signals, 100 a second, 25 % read, 30s left\nreplayed 2000 signals, 50 a second\n"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var out strings.Builder
				p := newProgress(&out)
				p.terminal = test.terminal
				began := time.Now()
				for _, s := range test.steps {
					time.Sleep(time.Until(began.Add(s.at)))
					p.show(s.is)
					seen := out.String()
					if test.terminal {
						seen = screen(seen)
					}
					if s.want == "" && seen != "" || !strings.Contains(seen, s.want) {
						t.Errorf("after %s there is %q, want %q", s.at, seen, s.want)
					}
				}
				p.clear()
				seen := out.String()
				if test.terminal {
					seen = screen(seen)
				}
				if seen != test.last {
					t.Errorf("%q stays, want %q", seen, test.last)
				}
			})
		})
	}
}
