package silence

import (
	"errors"
	"strings"
	"sync/atomic"
	"time"
	_ "time/tzdata" // images without an operating system have no time zones

	"github.com/robfig/cron/v3"
)

// lookAgain is when it is looked again for a begin that is too far off to be
// found: the schedule looks five years ahead, and a leap day may be eight away.
const lookAgain = 365 * 24 * time.Hour

// window is a time of maintenance that comes again. It is safe for concurrent
// use.
type window struct {
	schedule cron.Schedule
	location *time.Location
	duration time.Duration
	// now is what was last worked out. Only at a window's edges, and for times
	// long past, it is worked out anew.
	now atomic.Pointer[span]
}

// span is a time, from included and until not, in which a window is open or
// closed.
type span struct {
	from, until time.Time
	open        bool
}

var cronParser = cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow)

// someTime is where it is looked from whether a cron expression ever comes: the
// answer is the same for each time, as the Gregorian calendar goes on and on.
var someTime = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)

func parseCron(text string) (cron.Schedule, error) {
	// The library takes a time zone here, and panics at some that are none.
	if strings.Contains(text, "=") {
		return nil, errors.New("a time zone is not written here; write it as timeZone")
	}
	schedule, err := cronParser.Parse(text)
	if err != nil {
		return nil, err
	}
	if schedule.Next(someTime).IsZero() {
		return nil, errors.New("such a day never comes")
	}
	return schedule, nil
}

// holds reports whether the window is open at a time.
func (w *window) holds(at time.Time) bool {
	now := w.now.Load()
	if now == nil || at.Before(now.from) || !at.Before(now.until) {
		now = w.around(at)
		w.now.Store(now)
	}
	return now.open
}

// around returns a span that at lies in.
func (w *window) around(at time.Time) *span {
	start := w.next(at.Add(-w.duration))
	switch {
	case start.IsZero():
		return &span{from: at, until: at.Add(lookAgain)}
	case start.After(at):
		return &span{from: at, until: start}
	default:
		return &span{from: start, until: start.Add(w.duration), open: true}
	}
}

// maxZones bounds how many changes of the clocks are looked beyond for a window's
// next begin. The schedule itself looks five years ahead.
const maxZones = 20

// next returns when the window begins next after t, zero where that is years off.
//
// The schedule goes by what clocks show. An hour that they skip in spring begins
// what lies in it when it is skipped; an hour that they show twice begins it
// twice, so that what is open from half past two until three by the clock is so
// both times.
func (w *window) next(t time.Time) time.Time {
	local := t.In(w.location)
	shown := clock(local)
	for range maxZones {
		_, offset := local.Zone()
		_, end := local.ZoneBounds()
		start := w.schedule.Next(shown)
		if start.IsZero() {
			return time.Time{}
		}
		if at := start.Add(seconds(-offset)); end.IsZero() || at.Before(end) {
			return at
		}
		// From here clocks show something else. Next looks strictly after what it
		// is given, by the second.
		_, after := end.Zone()
		shown = end.UTC().Add(seconds(min(offset, after)) - time.Second)
		if first := w.schedule.Next(shown); !first.IsZero() && !first.After(end.UTC().Add(seconds(after))) {
			return end
		}
		local, shown = end, clock(end)
	}
	return time.Time{}
}

// clock returns what clocks show at a local time, as a time of UTC.
func clock(local time.Time) time.Time {
	_, offset := local.Zone()
	return local.UTC().Add(seconds(offset))
}

func seconds(n int) time.Duration { return time.Duration(n) * time.Second }
