package page_test

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	gateway "kubernaut.io/gateway"
	"kubernaut.io/gateway/page"
)

// clocked are options whose clock is the bubble's.
func clocked(t *testing.T, f *page.Feed) page.Options {
	o := options(t, f)
	o.Now = time.Now
	return o
}

func TestEvents(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := mustFeed(t, page.FeedOptions{Decisions: 200, Now: time.Now})
		decided(f, "Disk", gateway.Created, 1)
		p := mustPage(t, clocked(t, f))
		w := newWire(100)
		cancel, done := look(p, w, "/events?outcome=created", "")
		synctest.Wait()
		all := parse(t, <-w.received)
		if w.header.Get("Content-Type") != "text/event-stream" || all[0].name != "hello" {
			t.Fatalf("%v %+v", w.header, all)
		}
		if html, _, matching, ok := rowsOf(t, all); !ok || rows(html) != 1 || matching != 1 {
			t.Errorf("%d rows of %d", rows(html), matching)
		}
		if last := all[len(all)-1]; last.name != "panels" || strings.Count(last.data, `"storms":`) != 1 {
			t.Errorf("%+v", last)
		}

		next := func() []event {
			t.Helper()
			time.Sleep(time.Second) // the bubble's
			synctest.Wait()
			return parse(t, <-w.received)
		}
		if all = next(); len(all) != 0 {
			t.Errorf("nothing has changed, and it was told %+v", all)
		}
		decided(f, hostile[len(hostile)-1], gateway.Created, 3)
		decided(f, "Crash", gateway.Duplicate, 5)
		all = next()
		if html, replace, matching, _ := rowsOf(t, all); rows(html) != 3 || replace || matching != 4 {
			t.Errorf("%d rows of %d, replace %t", rows(html), matching, replace)
		}
		resume := all[len(all)-1].id
		decided(f, "Crash", gateway.Created, 150)
		if html, replace, matching, _ := rowsOf(t, next()); rows(html) != 100 || !replace || matching != 154 {
			t.Errorf("%d rows of %d, replace %t", rows(html), matching, replace)
		}
		decided(f, "Crash", gateway.Duplicate, 200) // all before go
		if _, _, _, ok := rowsOf(t, next()); ok {
			t.Error("it was told of what it does not want")
		}
		decided(f, "Crash", gateway.Created, 2)
		last := next()
		if html, _, matching, _ := rowsOf(t, last); rows(html) != 2 || matching != 2 {
			t.Errorf("%d rows of %d", rows(html), matching)
		}
		cancel()
		<-done

		// One that comes back is told what it missed, one from another process of all.
		decided(f, "Crash", gateway.Created, 1)
		time.Sleep(time.Second) // the bubble's
		_, number, _ := strings.Cut(last[0].id, ".")
		for id, want := range map[string]int{last[0].id: 1, "other." + number: 3, "": 3, "x": 3} {
			w = newWire(100)
			cancel, done = look(p, w, "/events?outcome=created", id)
			synctest.Wait()
			if html, replace, _, _ := rowsOf(t, parse(t, <-w.received)); rows(html) != want || replace != (want == 3) {
				t.Errorf("after %q: %d rows, replace %t", id, rows(html), replace)
			}
			cancel()
			<-done
		}

		// Of one that was away for long some of what it missed is gone.
		w = newWire(100)
		cancel, done = look(p, w, "/events?outcome=created&after="+all[0].id, resume)
		synctest.Wait()
		if html, replace, _, _ := rowsOf(t, parse(t, <-w.received)); rows(html) != 3 || !replace {
			t.Errorf("%d rows, replace %t", rows(html), replace)
		}
		cancel()
		<-done
		p.Close()
	})
}

// TestOlderDecisionsAreNotFollowed: who looks at a page of older ones is told of
// all else alone.
func TestOlderDecisionsAreNotFollowed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := mustFeed(t, page.FeedOptions{Now: time.Now})
		decided(f, "Disk", gateway.Created, 10)
		p := mustPage(t, clocked(t, f))
		w := newWire(10)
		cancel, done := look(p, w, "/events?before=5", "")
		synctest.Wait()
		if _, _, _, ok := rowsOf(t, parse(t, <-w.received)); ok {
			t.Error("it was told of decisions")
		}
		cancel()
		<-done
		p.Close()
	})
}

// TestASlowViewerIsDropped: one that takes nothing is let go after so many
// frames, others are not held up, and what tells the feed never waits.
func TestASlowViewerIsDropped(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := mustFeed(t, page.FeedOptions{Now: time.Now})
		p := mustPage(t, clocked(t, f))
		slow, quick := newWire(0), newWire(1000)
		_, slowDone := look(p, slow, "/events", "")
		cancel, quickDone := look(p, quick, "/events", "")
		began := time.Now()
		for range 60 {
			decided(f, "Crash", gateway.Duplicate, 100)
			if time.Since(began) > 60*time.Second {
				t.Fatal("the feed was held up")
			}
			time.Sleep(time.Second) // the bubble's
		}
		synctest.Wait()
		select {
		case <-slowDone:
		default:
			t.Error("one that takes nothing is still there")
		}
		select {
		case <-quickDone:
			t.Error("one that takes all was dropped")
		default:
		}
		if n := len(quick.received); n < 59 {
			t.Errorf("the other one was told %d times in 60 s", n)
		}
		cancel()
		<-quickDone
		p.Close()
	})
}

// TestSlowViewersAreDroppedByTheirQueue: one whose connection takes as long as
// it likes is dropped when its queue is full.
func TestSlowViewersAreDroppedByTheirQueue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := mustFeed(t, page.FeedOptions{Now: time.Now})
		p := mustPage(t, clocked(t, f))
		w := newWire(1)
		w.untimed = true
		_, done := look(p, w, "/events", "")
		began := time.Now()
		for {
			decided(f, "Crash", gateway.Duplicate, 1)
			time.Sleep(time.Second) // the bubble's
			synctest.Wait()
			select {
			case <-done:
				// 1 is on the wire, 1 is being written, 8 wait, and the next is too many.
				if took := time.Since(began); took < 9*time.Second || took > 12*time.Second {
					t.Errorf("dropped after %s", took)
				}
				p.Close()
				return
			default:
				if time.Since(began) > time.Minute {
					t.Fatal("never dropped")
				}
			}
		}
	})
}

func TestViewersAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		f := mustFeed(t, page.FeedOptions{Now: time.Now})
		o := clocked(t, f)
		o.MaxViewers = 2
		o.State = func() page.State { asked++; return page.State{} }
		p := mustPage(t, o)
		var ends []func()
		for range 2 {
			cancel, done := look(p, newWire(1000), "/events", "")
			ends = append(ends, func() { cancel(); <-done })
		}
		synctest.Wait()
		third := newWire(1000)
		cancel, done := look(p, third, "/events", "")
		synctest.Wait()
		cancel()
		<-done
		if third.status != http.StatusServiceUnavailable || third.header.Get("Retry-After") == "" {
			t.Errorf("a third one: %d %v", third.status, third.header)
		}
		time.Sleep(10 * time.Second) // the bubble's
		synctest.Wait()
		if asked < 10 || asked > 11 {
			t.Errorf("asked %d times in 10 s for two who look", asked)
		}
		ends[0]()
		cancel, done = look(p, newWire(1000), "/events", "")
		synctest.Wait()
		cancel()
		<-done
		ends[1]()
		before := asked
		time.Sleep(10 * time.Second) // the bubble's
		synctest.Wait()
		if asked != before {
			t.Errorf("asked %d times while nobody looked", asked-before)
		}

		// Closed, it lets all go and takes nobody.
		_, done = look(p, newWire(1000), "/events", "")
		synctest.Wait()
		p.Close()
		<-done
		if w := get(p, "/events"); w.Code != http.StatusServiceUnavailable {
			t.Errorf("when it is closed: %d", w.Code)
		}
		p.Close()
	})
}

// TestStreamOutlastsTheServersTimeouts: a server whose requests may take a moment
// serves a stream for as long as somebody reads it, and shuts down at once.
func TestStreamOutlastsTheServersTimeouts(t *testing.T) {
	t.Parallel()
	f := mustFeed(t, page.FeedOptions{Now: time.Now})
	p := mustPage(t, clocked(t, f))
	server := &http.Server{
		Handler: p, ReadTimeout: time.Second, WriteTimeout: time.Second,
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
	}
	server.RegisterOnShutdown(p.Close)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	response, err := http.Get("http://" + l.Addr().String() + "/events")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	lines := bufio.NewScanner(response.Body)
	lines.Buffer(nil, 1<<20)
	for _, name := range []string{"Early", "Later", "Last"} {
		decided(f, name, gateway.Created, 1)
		for lines.Scan() && !strings.Contains(lines.Text(), name) {
		}
		if !strings.Contains(lines.Text(), name) {
			t.Fatalf("the stream ended before %s: %v", name, lines.Err())
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil {
		t.Error(fmt.Errorf("a stream holds the server up: %w", err))
	}
	if err := <-served; err != http.ErrServerClosed { //nolint:errorlint // it is that one
		t.Error(err)
	}
}

// TestFeedFromManyGoroutines is for the race detector.
func TestFeedFromManyGoroutines(t *testing.T) {
	t.Parallel()
	f := mustFeed(t, page.FeedOptions{Decisions: 500, Now: time.Now})
	p := mustPage(t, clocked(t, f))
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			for range 50 {
				decided(f, "Crash", gateway.Duplicate, 20)
				f.Answered("prometheus", 202, time.Millisecond)
				f.Kept("drained", 1, &gateway.Signal{Source: "prometheus"}, &gateway.Decision{Outcome: gateway.Created})
				f.Spooled(1, 1, time.Now(), 0)
			}
		})
		wait.Go(func() {
			for range 10 {
				if w := get(p, "/?q=crash"); w.Code != http.StatusOK {
					t.Errorf("%d", w.Code)
				}
			}
		})
	}
	wait.Wait()
}
