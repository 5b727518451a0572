package silence

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

func mustWindow(tb testing.TB, cron, zone string, duration time.Duration) *window {
	tb.Helper()
	schedule, err := parseCron(cron)
	if err != nil {
		tb.Fatal(err)
	}
	location, err := time.LoadLocation(zone)
	if err != nil {
		tb.Fatal(err)
	}
	return &window{schedule: schedule, location: location, duration: duration}
}

func mustTime(tb testing.TB, text string) time.Time {
	tb.Helper()
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		tb.Fatal(err)
	}
	return at
}

func TestWindow(t *testing.T) {
	t.Parallel()
	const hour = time.Hour
	for _, test := range []struct {
		name, cron, zone string
		duration         time.Duration
		// open and closed are times at which it is so.
		open, closed []string
	}{
		{
			name: "a night", cron: "0 22 * * *", duration: 8 * hour,
			open:   []string{"2030-01-02T22:00:00Z", "2030-01-03T05:59:59Z", "2030-01-03T22:00:00Z"},
			closed: []string{"2030-01-02T21:59:59Z", "2030-01-03T06:00:00Z"},
		},
		{
			name: "Sundays by name", cron: "30 2 * * SUN", duration: hour,
			open:   []string{"2030-01-06T02:30:00Z", "2030-01-06T03:29:59Z"},
			closed: []string{"2030-01-05T02:30:00Z", "2030-01-07T02:30:00Z", "2030-01-06T03:30:00Z"},
		},
		{
			name: "the whole of each Sunday", cron: "0 0 * * 0", duration: 24 * hour,
			open:   []string{"2030-01-06T00:00:00Z", "2030-01-06T23:59:59Z"},
			closed: []string{"2030-01-05T23:59:59Z", "2030-01-07T00:00:00Z"},
		},
		{
			name: "windows that overlap", cron: "*/10 * * * *", duration: 15 * time.Minute,
			open: []string{"2030-01-06T00:00:00Z", "2030-01-06T00:09:59Z", "2030-01-06T00:10:00Z", "2030-01-06T00:15:00Z"},
		},
		{
			name: "a leap day", cron: "0 0 29 2 *", duration: hour,
			open:   []string{"2032-02-29T00:59:59Z", "2104-02-29T00:00:00Z"},
			closed: []string{"2030-03-01T00:00:00Z", "2031-03-01T00:00:00Z", "2032-02-28T23:59:59Z"},
		},
		{
			name: "by the clocks of a zone", cron: "0 2 * * *", zone: "Europe/Berlin", duration: hour,
			open:   []string{"2030-01-02T02:00:00+01:00", "2030-07-02T02:59:59+02:00"},
			closed: []string{"2030-01-02T02:00:00Z", "2030-07-02T01:59:59+02:00"},
		},
		{
			// On 2030-03-31 clocks go from 02:00 to 03:00.
			name: "an hour that clocks skip", cron: "30 2 * * *", zone: "Europe/Berlin", duration: hour,
			open: []string{
				"2030-03-30T02:30:00+01:00", "2030-03-31T03:00:00+02:00", "2030-03-31T03:59:59+02:00", "2030-04-01T02:30:00+02:00",
			},
			closed: []string{"2030-03-31T01:59:59+01:00", "2030-03-31T04:00:00+02:00", "2030-04-01T02:29:59+02:00"},
		},
		{
			// On 2030-10-27 clocks go from 03:00 back to 02:00.
			name: "an hour that clocks show twice", cron: "30 2 * * *", zone: "Europe/Berlin", duration: 10 * time.Minute,
			open: []string{
				"2030-10-27T02:30:00+02:00", "2030-10-27T02:39:59+02:00", "2030-10-27T02:30:00+01:00", "2030-10-27T02:39:59+01:00",
			},
			closed: []string{
				"2030-10-27T02:29:59+02:00", "2030-10-27T02:40:00+02:00", "2030-10-27T02:29:59+01:00", "2030-10-27T02:40:00+01:00",
			},
		},
		{
			name: "a night in which clocks go forward takes as long as others", cron: "0 22 * * *", zone: "Europe/Berlin", duration: 8 * hour,
			open:   []string{"2030-03-31T06:59:59+02:00"},
			closed: []string{"2030-03-31T07:00:00+02:00"},
		},
		{
			// Samoa had no 30 December 2011.
			name: "a day that a country skips", cron: "0 12 * * *", zone: "Pacific/Apia", duration: hour,
			open:   []string{"2011-12-29T12:00:00-10:00", "2011-12-31T00:00:00+14:00", "2011-12-31T12:00:00+14:00"},
			closed: []string{"2011-12-29T23:59:59-10:00", "2011-12-31T01:00:00+14:00"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			for want, times := range map[bool][]string{true: test.open, false: test.closed} {
				for _, text := range times {
					at := mustTime(t, text)
					w := mustWindow(t, test.cron, test.zone, test.duration)
					for range 2 { // the second time what was worked out is used
						if w.holds(at) != want {
							t.Errorf("at %s it is open: %v, want %v", text, !want, want)
						}
					}
				}
			}
		})
	}
}

// Minute by minute, around the days on which clocks change, a window is open if
// clocks have shown its beginning, or skipped it, within its duration.
func TestWindowMinuteByMinute(t *testing.T) {
	t.Parallel()
	days := map[string][]string{
		"Europe/Berlin":       {"2030-03-30T00:00:00Z", "2030-10-26T00:00:00Z"},
		"America/New_York":    {"2030-03-09T12:00:00Z", "2030-11-02T12:00:00Z"},
		"Australia/Lord_Howe": {"2030-04-06T00:00:00Z", "2030-10-05T00:00:00Z"},
		"Pacific/Apia":        {"2011-12-29T12:00:00Z"},
		"Asia/Kolkata":        {"2030-03-30T00:00:00Z"},
		"":                    {"2030-03-30T00:00:00Z"},
	}
	expressions := []string{"30 2 * * *", "15 1,2,3 * * *", "0 * * * *", "*/7 2 * * *", "* * * * *", "0 3 * * *", "59 1 * * SUN", "0 0 30 * *"}
	random := rand.New(rand.NewPCG(1, 2))
	for zone, starts := range days {
		location, err := time.LoadLocation(zone)
		if err != nil {
			t.Fatal(err)
		}
		for _, from := range starts {
			for _, expression := range expressions {
				duration := time.Duration(1+random.IntN(100)) * time.Minute
				t.Run(fmt.Sprint(zone, from, expression, duration), func(t *testing.T) {
					w := mustWindow(t, expression, zone, duration)
					shows := func(wall time.Time) bool { return w.schedule.Next(wall.Add(-time.Second)).Equal(wall) }
					begin := mustTime(t, from)
					var openUntil time.Time
					for minute := -24 * 60; minute < 48*60; minute++ {
						at := begin.Add(time.Duration(minute) * time.Minute)
						now, before := clock(at.In(location)), clock(at.Add(-time.Minute).In(location))
						opens := shows(now)
						for skipped := before.Add(time.Minute); skipped.Before(now); skipped = skipped.Add(time.Minute) {
							opens = opens || shows(skipped)
						}
						if opens {
							openUntil = at.Add(duration)
						}
						if want := at.Before(openUntil); minute >= 0 && w.holds(at) != want {
							t.Fatalf("at %v it is open: %v, want %v", at.In(location), !want, want)
						}
					}
				})
			}
		}
	}
}

// Between the edges of a window nothing is worked out.
func TestWindowIsWorkedOutAtItsEdges(t *testing.T) {
	t.Parallel()
	w := mustWindow(t, "0 2 * * *", "Europe/Berlin", time.Hour)
	begin, seen := mustTime(t, "2030-01-02T00:00:00Z"), make(map[*span]bool)
	for second := range 24 * 60 * 60 {
		w.holds(begin.Add(time.Duration(second) * time.Second))
		seen[w.now.Load()] = true
	}
	if len(seen) != 3 {
		t.Errorf("in a day with one window it was worked out %d times, want 3", len(seen))
	}
}

func FuzzWindow(f *testing.F) {
	for _, seed := range []string{"0 2 * * *", "*/5 1-3 * JAN-MAR MON-FRI", "0 0 31 2 *", "TZ=0", "@daily", "CRON_TZ=UTC 0 0 * * *", "0 0 29 2 *", "? ? ? ? ?", "99 * * * *", "0/0 * * * *"} {
		f.Add(seed, int64(1900000000), uint16(60))
	}
	f.Fuzz(func(t *testing.T, text string, unix int64, minutes uint16) {
		duration := time.Duration(minutes%1440+1) * time.Minute
		if _, err := parseCron(text); err != nil {
			return
		}
		w := mustWindow(t, text, "America/New_York", duration)
		at := time.Unix(unix%(1<<33), 0)
		now := w.around(at)
		if at.Before(now.from) || !at.Before(now.until) {
			t.Errorf("%q: the span from %v until %v does not hold %v", text, now.from, now.until, at)
		}
		if open := now.open; open && now.until.Sub(now.from) != duration {
			t.Errorf("%q: open for %v, want %v", text, now.until.Sub(now.from), duration)
		}
		if next := w.next(at); !next.IsZero() && !next.After(at) {
			t.Errorf("%q: after %v comes %v", text, at, next)
		}
	})
}

func BenchmarkWindow(b *testing.B) {
	at := mustTime(b, "2030-03-30T12:00:00Z")
	for _, expression := range []string{"30 2 * * *", "0 0 29 2 *", "* * * * *"} {
		w := mustWindow(b, expression, "Europe/Berlin", time.Hour)
		b.Run("holds/"+expression, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				w.holds(at)
			}
		})
		b.Run("around/"+expression, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				w.around(at)
			}
		})
	}
}
