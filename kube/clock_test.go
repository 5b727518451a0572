package kube

import (
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// world is a server's clock and a replica's, which goes as it likes.
type world struct {
	// now is the replica's local time, offset and ppm how the server's differs.
	now    time.Time
	begin  time.Time
	offset time.Duration
	ppm    float64
}

func newWorld(offset time.Duration, ppm float64) *world {
	at := time.Date(2026, 5, 1, 12, 0, 0, 123456789, time.UTC)
	return &world{now: at, begin: at, offset: offset, ppm: ppm}
}

func (w *world) local() time.Time { return w.now }

// server is the server's time.
func (w *world) server() time.Time {
	gone := w.now.Sub(w.begin)
	return w.now.Add(w.offset + time.Duration(float64(gone)*w.ppm/1e6))
}

// answer has the clock observe an answer that took there and back.
func (w *world) answer(c *clock, there, back time.Duration) {
	sent := c.elapsed()
	w.now = w.now.Add(there)
	date := w.server().Truncate(time.Second)
	w.now = w.now.Add(back)
	c.observe(sent, c.elapsed(), date)
}

// wrong is by how much the clock differs from the server's.
func (w *world) wrong(c *clock) time.Duration { return c.Now().Sub(w.server()).Abs() }

func TestClockIsTheServers(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 1))
		w := newWorld(time.Duration(r.Int64N(int64(48*time.Hour)))-24*time.Hour, r.Float64()*160-80)
		c := newClock(w.local)
		last := c.Now()
		for i := range 200 {
			w.now = w.now.Add(time.Duration(r.ExpFloat64() * float64(20*time.Second)))
			there, back := time.Duration(r.ExpFloat64()*float64(40*time.Millisecond)), time.Duration(r.ExpFloat64()*float64(40*time.Millisecond))
			if r.IntN(20) == 0 {
				back += time.Duration(r.Int64N(int64(8 * time.Second)))
			}
			w.answer(c, there, back)
			truth := w.server().Sub(w.now)
			b := c.widened(c.elapsed())
			if truth < b.low-1 || truth > b.high+1 { // the drift is rounded down
				t.Fatalf("seed %d, answer %d: the offset is %s, and not within %s and %s", seed, i, truth, b.low, b.high)
			}
			now := c.Now()
			if i > 0 && now.Before(last) {
				t.Fatalf("seed %d, answer %d: %s came after %s", seed, i, now, last)
			}
			last = now
			if wrong, known := w.wrong(c), b.high-b.low; i > 0 && wrong > known+slewLimit {
				t.Fatalf("seed %d, answer %d: wrong by %s, known to %s", seed, i, wrong, known)
			}
		}
		w.now = w.now.Add(2 * slewDivisor * slewLimit) // what is slowed down has arrived
		if wrong := w.wrong(c); wrong > 300*time.Millisecond {
			t.Errorf("seed %d: wrong by %s after 200 answers", seed, wrong)
		}
	}
}

func TestOneAnswerIsGoodForASecond(t *testing.T) {
	for _, offset := range []time.Duration{0, 300 * time.Millisecond, -900 * time.Millisecond, 3 * time.Second, time.Hour, -time.Hour} {
		w := newWorld(offset, 0)
		c := newClock(w.local)
		if !c.Now().Equal(w.now) {
			t.Errorf("%s before the first answer, want the local time", c.Now())
		}
		w.answer(c, time.Millisecond, time.Millisecond)
		w.now = w.now.Add(5 * time.Second)
		if wrong := w.wrong(c); wrong > time.Second+2*time.Millisecond {
			t.Errorf("offset %s: wrong by %s", offset, wrong)
		}
	}
}

func TestSkewedReplicasAgree(t *testing.T) {
	for name, test := range map[string]struct{ one, other time.Duration }{
		"an hour apart":       {-30 * time.Minute, 30 * time.Minute},
		"one is right":        {0, time.Hour},
		"a second apart":      {0, time.Second},
		"a day in the future": {-24 * time.Hour, 0},
	} {
		// Both ask the same server, whose time is the world's.
		one, other := newWorld(test.one, 30), newWorld(test.other, -30)
		other.now = one.server().Add(-test.other)
		other.begin = other.now
		a, b := newClock(one.local), newClock(other.local)
		for _, phase := range []int{170, 330, 90, 410, 770, 50, 610, 130, 290, 930} {
			for _, w := range []*world{one, other} {
				w.now = w.now.Add(time.Duration(phase) * time.Millisecond)
			}
			one.answer(a, 3*time.Millisecond, 4*time.Millisecond)
			other.answer(b, 5*time.Millisecond, 2*time.Millisecond)
		}
		for _, w := range []*world{one, other} {
			w.now = w.now.Add(10 * time.Second)
		}
		if apart := a.Now().Sub(b.Now()).Abs(); apart > 300*time.Millisecond {
			t.Errorf("%s: they differ by %s", name, apart)
		}
	}
}

func TestServersClockIsSet(t *testing.T) {
	for name, test := range map[string]struct {
		by    time.Duration
		steps bool
	}{
		"back a little": {-1500 * time.Millisecond, false},
		"on a little":   {1500 * time.Millisecond, false},
		"back":          {-time.Minute, true},
		"on":            {time.Minute, false},
	} {
		w := newWorld(time.Hour, 0)
		c := newClock(w.local)
		for range 30 {
			w.now = w.now.Add(770 * time.Millisecond)
			w.answer(c, time.Millisecond, time.Millisecond)
		}
		before := c.Now()
		w.offset += test.by
		w.answer(c, time.Millisecond, time.Millisecond)
		after := c.Now()
		if after.Before(before) != test.steps {
			t.Errorf("%s: %s after %s", name, after, before)
		}
		// It may go slower for a while, and never stands still.
		w.now = w.now.Add(time.Second)
		if went := c.Now().Sub(after); went < 490*time.Millisecond || went > time.Second {
			t.Errorf("%s: it went %s in a second", name, went)
		}
		for range 30 {
			last := c.Now()
			w.now = w.now.Add(770 * time.Millisecond)
			w.answer(c, time.Millisecond, time.Millisecond)
			if c.Now().Before(last) {
				t.Errorf("%s: went back again", name)
			}
		}
		if wrong := w.wrong(c); wrong > 300*time.Millisecond {
			t.Errorf("%s: wrong by %s", name, wrong)
		}
	}
}

func TestClockGoesOnWithoutAnswers(t *testing.T) {
	w := newWorld(-time.Hour, 50)
	c := newClock(w.local)
	for range 20 {
		w.now = w.now.Add(930 * time.Millisecond)
		w.answer(c, time.Millisecond, time.Millisecond)
	}
	w.now = w.now.Add(time.Hour)
	if wrong := w.wrong(c); wrong > 500*time.Millisecond {
		t.Errorf("wrong by %s after an hour without an answer", wrong)
	}
}

func TestClockNeverGoesBackForAnyone(t *testing.T) {
	c := newClock(time.Now)
	var all sync.WaitGroup
	stop := make(chan struct{})
	for range 4 {
		all.Go(func() {
			for last := c.Now(); ; {
				select {
				case <-stop:
					return
				default:
				}
				now := c.Now()
				if now.Before(last) {
					t.Errorf("%s after %s", now, last)
					return
				}
				last = now
			}
		})
	}
	for i := range 2000 {
		// Each contradicts the one before it, within what is slowed down.
		at := c.elapsed()
		c.observe(at, at, c.origin.Add(at+time.Duration(i%2)*1100*time.Millisecond).Truncate(time.Millisecond))
	}
	close(stop)
	all.Wait()
}

// answers is a transport that answers with what it is.
type answers http.Response

func (a *answers) RoundTrip(*http.Request) (*http.Response, error) {
	r := http.Response(*a)
	r.Body = io.NopCloser(strings.NewReader(""))
	return &r, nil
}

func TestWhoseDateCounts(t *testing.T) {
	set := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	date := set.Format(http.TimeFormat)
	for name, test := range map[string]struct {
		status int
		header http.Header
		counts bool
	}{
		"an answer":               {http.StatusOK, http.Header{"Date": {date}}, true},
		"a refusal":               {http.StatusConflict, http.Header{"Date": {date}}, true},
		"the server's own error":  {http.StatusInternalServerError, http.Header{"Date": {date}, "Audit-Id": {"1"}}, true},
		"a proxy's error":         {http.StatusBadGateway, http.Header{"Date": {date}}, false},
		"no date":                 {http.StatusOK, http.Header{}, false},
		"a date that can't be it": {http.StatusOK, http.Header{"Date": {"yesterday"}}, false},
	} {
		c := newClock(time.Now)
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://127.0.0.1", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		response, err := c.wrap(&answers{StatusCode: test.status, Header: test.header}).RoundTrip(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if counts := c.Now().Sub(set).Abs() < time.Minute; counts != test.counts {
			t.Errorf("%s: the clock was set: %t, want %t", name, counts, test.counts)
		}
	}
}

func BenchmarkClock(b *testing.B) {
	c := newClock(time.Now)
	c.observe(0, 0, time.Now().Add(time.Hour))
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			c.Now()
		}
	})
}
