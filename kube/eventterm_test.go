package kube

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sync/semaphore"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// nobody observes nothing.
type nobody struct{}

func (nobody) Watches(bool)                        {}
func (nobody) EventSeen(string)                    {}
func (nobody) EventHandled(time.Duration)          {}
func (nobody) EventsPending(int)                   {}
func (nobody) EventsObserved(time.Time)            {}
func (nobody) EventGap(time.Time, time.Time)       {}
func (nobody) EventsForgotten(int)                 {}
func (nobody) CanarySeen(time.Time, time.Duration) {}

// world is what an eventTerm meets in virtual time.
type eventWorld struct {
	mu     sync.Mutex
	facts  eventFacts
	broken bool
	calls  int
	handed []string
	at     time.Time
}

func (w *eventWorld) look(context.Context, *seenEvent) eventFacts {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.facts
}

func (w *eventWorld) set(f eventFacts) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.facts = f
}

func (w *eventWorld) handle(_ context.Context, body []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls++
	if w.broken {
		return errors.New("away")
	}
	w.handed, w.at = append(w.handed, string(body)), time.Now()
	return nil
}

// newTerm returns a term whose workers run until the returned function is called.
func (w *eventWorld) newTerm(t *testing.T, wait time.Duration) (*eventTerm, func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	term := &eventTerm{
		options: &EventWatchOptions{
			Handle: w.handle, Now: time.Now, Observer: nobody{}, Wait: wait, TTL: time.Hour, Logger: slog.New(slog.DiscardHandler),
		},
		tracker: newTracker(EventRules{}, newCheckpoint(), []string{""}), looker: w,
		room: semaphore.NewWeighted(maxPendingEvents), ended: ctx, write: make(chan struct{}, 1),
	}
	term.start()
	var workers sync.WaitGroup
	for range eventWorkers {
		workers.Go(func() { term.work(ctx) })
	}
	return term, func() {
		cancel()
		term.queue.ShutDown()
		workers.Wait()
	}
}

func mustSee(t *testing.T, term *eventTerm, e *seenEvent) {
	t.Helper()
	if err := term.see("", e); err != nil {
		t.Fatal(err)
	}
}

func TestEventIsTriedUntilItIsTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &eventWorld{broken: true}
		term, stop := w.newTerm(t, 0)
		defer stop()
		mustSee(t, term, seen("a", 1, 3, time.Now()))
		time.Sleep(time.Minute)
		w.mu.Lock()
		w.broken = false
		if w.calls < 10 || w.calls > 20 {
			t.Errorf("tried %d times in a minute", w.calls)
		}
		w.mu.Unlock()
		time.Sleep(eventRetryMost)
		synctest.Wait()
		if !slices.Equal(w.handed, []string{"a 3"}) || term.tracker.waiting() != 0 {
			t.Errorf("handed in: %v", w.handed)
		}
		mustSee(t, term, seen("a", 1, 3, time.Now()))
		mustSee(t, term, seen("a", 2, 4, time.Now()))
		synctest.Wait()
		if !slices.Equal(w.handed, []string{"a 3", "a 4"}) {
			t.Errorf("handed in: %v", w.handed)
		}
	})
}

func TestWaitsAreBounded(t *testing.T) {
	for name, row := range map[string]struct {
		after  time.Duration
		facts  eventFacts
		want   int
		latest time.Duration
	}{
		"the cause stays":             {time.Hour, eventFacts{}, 1, 5*time.Minute + recheckInterval},
		"the cause ends":              {time.Minute, eventFacts{}, 1, time.Minute + recheckInterval},
		"the object goes with it":     {time.Minute, eventFacts{Gone: true, RollingOut: true}, 0, 0},
		"the object has gone with it": {time.Minute, eventFacts{Gone: true}, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &eventWorld{facts: eventFacts{RollingOut: true}}
				term, stop := w.newTerm(t, 5*time.Minute)
				defer stop()
				began := time.Now()
				mustSee(t, term, seen("a", 1, 3, began))
				time.AfterFunc(row.after, func() { w.set(row.facts) })
				time.Sleep(10 * time.Minute)
				synctest.Wait()
				w.mu.Lock()
				defer w.mu.Unlock()
				if len(w.handed) != row.want || row.want > 0 && w.at.Sub(began) > row.latest {
					t.Errorf("handed in %v after %v", w.handed, w.at.Sub(began))
				}
				if term.tracker.waiting() != 0 {
					t.Error("it is still pending")
				}
			})
		})
	}
}

// TestWatchStandsStillWithoutRoom, and what it did not see is not passed over.
func TestWatchStandsStillWithoutRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &eventWorld{broken: true}
		term, stop := w.newTerm(t, 0)
		term.room = semaphore.NewWeighted(2)
		s := &eventStream{eventTerm: term}
		var seeing sync.WaitGroup
		seeing.Go(func() {
			for i := range 5 {
				if err := s.Update(seen(strconv.Itoa(i), uint64(i+1), 3, time.Now())); (err != nil) != (i >= 2) {
					t.Errorf("Event %d: %v", i, err)
				}
			}
		})
		time.Sleep(time.Minute)
		if n := term.tracker.waiting(); n != 2 {
			t.Errorf("%d are pending, want 2", n)
		}
		stop()
		seeing.Wait()
		if c, _ := term.tracker.snapshot(time.Now(), time.Hour); c.positions[""] != 0 {
			t.Errorf("the position is %d, past what was not handed in", c.positions[""])
		}
	})
}

// TestRoomIsGivenBack however soon an Event is settled, and whatever becomes of
// it.
func TestRoomIsGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &eventWorld{}
		term, stop := w.newTerm(t, 0)
		defer stop()
		for i := range 3000 {
			mustSee(t, term, seen(strconv.Itoa(i%100), uint64(i+1), int64(1+i/100), time.Now()))
		}
		synctest.Wait()
		if !term.room.TryAcquire(maxPendingEvents) {
			t.Error("some room was not given back")
		}
	})
}

// TestOnlyAListLeavesAGap: a watch that goes on where it was has missed nothing,
// however long ago that was.
func TestOnlyAListLeavesAGap(t *testing.T) {
	w := &eventWorld{}
	term, stop := w.newTerm(t, 0)
	defer stop()
	from := newCheckpoint()
	from.observed, from.positions[""] = time.Now().Add(-3*time.Hour), 5
	term.tracker = newTracker(EventRules{}, from, []string{""})
	s := &eventStream{eventTerm: term, from: 5, api: eventAPIs(nil)[0]}
	if _, err := s.open(t.Context(), metav1.ListOptions{SendInitialEvents: new(bool)}); !errors.Is(err, errGoingOn) {
		t.Fatalf("a stream of all Events: %v", err)
	}
	list, err := s.list(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	replace := func(version string) eventCheckpoint {
		if err := s.Replace(nil, version); err != nil {
			t.Fatal(err)
		}
		c, _ := term.tracker.snapshot(time.Now(), time.Hour)
		return c
	}
	if c := replace(list.(*eventsv1.EventList).ResourceVersion); len(c.gaps) > 0 || c.positions[""] != 5 || !c.observed.Equal(from.observed) {
		t.Errorf("when it goes on: %+v", c)
	}
	if c := replace("9"); len(c.gaps) != 1 || !c.gaps[0].From.Equal(from.observed) || c.positions[""] != 9 {
		t.Errorf("after a list: %+v", c)
	}
	if c := replace("10"); len(c.gaps) != 1 {
		t.Errorf("after another: %+v", c)
	}
}
