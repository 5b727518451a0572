package kube

import (
	"math"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// dateResolution is that of an HTTP Date header (RFC 9110, 5.6.7).
	dateResolution = time.Second
	// driftDivisor is how slowly what was learned of the offset goes stale:
	// 1/10000, or 100 ppm. Quartz clocks are good for 20 to 50 ppm, and there are
	// two of them.
	driftDivisor = 10_000
	// slewLimit is up to where a clock that is ahead is slowed down. By more
	// than that the server's clock was set, and is followed at once.
	slewLimit = 2 * time.Second
	// slewDivisor is by how much a clock that is ahead is slowed down: it loses
	// half of each second.
	slewDivisor = 2
)

// bounds are what is known of the offset of the API server's clock from the
// local one, as of the local time at. Local times are durations since the
// clock was made. The offset lies in [low, high].
type bounds struct {
	at, low, high time.Duration
}

// observedAt returns what one answer tells: its Date, as an offset from the
// local clock's origin, was cut down to a second somewhen between sending the
// request and receiving the answer's head.
func observedAt(sent, received, date time.Duration) bounds {
	return bounds{at: received, low: date - received, high: date + dateResolution - sent}
}

// widened returns b as of a later time: clocks drift.
func (b bounds) widened(at time.Duration) bounds {
	if at <= b.at {
		return b
	}
	drift := (at - b.at) / driftDivisor
	return bounds{at: at, low: b.low - drift, high: b.high + drift}
}

// meet returns what b and a newer observation tell together. Where they
// contradict each other the server's clock was set, or another server answered,
// and only the newest counts.
func (b bounds) meet(newer bounds) bounds {
	both := b.widened(newer.at)
	newer = newer.widened(both.at)
	both.low, both.high = max(both.low, newer.low), min(both.high, newer.high)
	if both.low > both.high {
		return newer
	}
	return both
}

// nearest returns the offset within b that is nearest to the one in use, so that
// the clock moves no further than what is known demands. Where that is far, the
// server's clock was set, and the middle is the best guess.
func (b bounds) nearest(offset time.Duration) time.Duration {
	near := min(max(offset, b.low), b.high)
	if step := near - offset; step > slewLimit || step < -slewLimit {
		return b.low + (b.high-b.low)/2
	}
	return near
}

// pace is how the clock goes from a local time on.
type pace struct {
	// from is the offset at since, target the one that it is going to.
	since, from, target time.Duration
	// latest is the latest time that was told, in nanoseconds since the origin.
	// Nothing before it is told again, until the server's clock is set.
	latest *atomic.Int64
}

func newPace(offset time.Duration) *pace {
	p := &pace{from: offset, target: offset, latest: new(atomic.Int64)}
	p.latest.Store(math.MinInt64)
	return p
}

// offset returns the offset at a local time. What lies ahead is jumped to, and
// what lies behind is come to by going slower.
func (p *pace) offset(local time.Duration) time.Duration {
	return max(p.target, p.from-max(0, local-p.since)/slewDivisor)
}

// turnedTo returns the pace from local on after the offset turned out to be
// target.
func (p *pace) turnedTo(target, local time.Duration) *pace {
	now := p.offset(local)
	if step := target - now; step > slewLimit || step < -slewLimit {
		return newPace(target)
	}
	return &pace{since: local, from: now, target: target, latest: p.latest}
}

// clock tells the API server's time, as the Date headers of its answers give it,
// carried on by the local monotonic clock. Until the first answer it tells the
// local time. It is safe for concurrent use, and telling the time takes no lock.
//
// One Date is good for a second. Many, each cut down at another point of its
// second, bound the offset to little more than the network takes.
type clock struct {
	// local is the local clock, origin what it said first, without a monotonic
	// reading, and start the same with one.
	local         func() time.Time
	start, origin time.Time

	pace atomic.Pointer[pace]

	// mu guards what follows, and changes of pace.
	mu    sync.Mutex
	known bool
	bounds
}

func newClock(local func() time.Time) *clock {
	c := &clock{local: local, start: local()}
	c.origin = c.start.Round(0)
	c.pace.Store(newPace(0))
	return c
}

// elapsed is the local monotonic time since the clock was made.
func (c *clock) elapsed() time.Duration { return c.local().Sub(c.start) }

// Now returns the API server's time. Of two calls one after the other the
// second never tells an earlier time, unless the server's clock was set back by
// more than two seconds in between.
func (c *clock) Now() time.Time {
	p := c.pace.Load()
	local := c.elapsed()
	now := int64(local + p.offset(local))
	for {
		latest := p.latest.Load()
		if now <= latest || p.latest.CompareAndSwap(latest, now) {
			return c.origin.Add(time.Duration(max(now, latest)))
		}
	}
}

// observe learns from the Date of an answer whose request was sent, and whose
// head was received, at local times.
func (c *clock) observe(sent, received time.Duration, date time.Time) {
	seen := observedAt(sent, received, date.Sub(c.origin))
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known {
		seen = c.meet(seen)
	}
	c.bounds, c.known = seen, true
	p := c.pace.Load()
	if target := seen.nearest(p.target); target != p.target {
		c.pace.Store(p.turnedTo(target, c.elapsed()))
	}
}

// wrap makes a client's transport tell the clock of every answer. It is for
// rest.Config.Wrap.
func (c *clock) wrap(next http.RoundTripper) http.RoundTripper {
	return &dated{clock: c, next: next}
}

// dated is a transport that reads the answers' dates.
type dated struct {
	clock *clock
	next  http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (d *dated) RoundTrip(request *http.Request) (*http.Response, error) {
	sent := d.clock.elapsed()
	response, err := d.next.RoundTrip(request)
	if err != nil {
		return response, err
	}
	received := d.clock.elapsed()
	if date, err := http.ParseTime(response.Header.Get("Date")); err == nil && fromServer(response) {
		d.clock.observe(sent, received, date)
	}
	return response, nil
}

// WrappedRoundTripper lets client-go look through the wrapper.
func (d *dated) WrappedRoundTripper() http.RoundTripper { return d.next }

// fromServer reports whether an answer is the API server's own. A proxy that
// can't reach it answers with a 5xx under its own clock; the API server puts an
// Audit-Id on all that it answers.
func fromServer(r *http.Response) bool {
	return r.StatusCode < http.StatusInternalServerError || r.Header.Get("Audit-Id") != ""
}
