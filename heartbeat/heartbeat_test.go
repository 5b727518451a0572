package heartbeat_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	gateway "kubernaut.io/gateway"
	"kubernaut.io/gateway/heartbeat"
)

// kept is a Keeper in memory.
type kept struct {
	mu     sync.Mutex
	known  gateway.Signs
	writes int
	// refuse is what a sharing ends with.
	refuse error
}

// Share implements heartbeat.Keeper.
func (k *kept) Share(_ context.Context, _ string, s gateway.Signs) (gateway.Signs, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.refuse != nil {
		return gateway.Signs{}, k.refuse
	}
	if all := k.known.Merge(s); !all.Equal(k.known) {
		k.known = all
		k.writes++
	}
	return k.known, nil
}

func (k *kept) set(refuse error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.refuse = refuse
}

func (k *kept) wrote() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.writes
}

// watcher is what an observer was told last.
type watcher struct {
	mu     sync.Mutex
	at     time.Time
	silent bool
}

// Sign implements heartbeat.Observer.
func (w *watcher) Sign(at time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.at = at
}

// Silent implements heartbeat.Observer.
func (w *watcher) Silent(silent bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.silent = silent
}

func (w *watcher) told() (at time.Time, silent bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.at, w.silent
}

// usual has a sign come every 10 minutes.
var usual = gateway.Heartbeat{Interval: 10 * time.Minute, Grace: 5 * time.Minute}

// replica is a Monitor that runs.
type replica struct {
	*heartbeat.Monitor
	watcher
	stop context.CancelFunc
}

// mustRun runs a Monitor within a synctest bubble, until the test ends.
func mustRun(t *testing.T, k heartbeat.Keeper, rule gateway.Heartbeat, logs *bytes.Buffer) *replica {
	t.Helper()
	r := new(replica)
	var err error
	r.Monitor, err = heartbeat.New(heartbeat.Options{
		Source: "prometheus", Alert: "Watchdog", Rule: rule, Keeper: k, Observer: r,
		Logger: slog.New(slog.NewTextHandler(logs, nil)), Now: time.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := r.Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	r.stop = func() {
		cancel()
		<-done
	}
	t.Cleanup(r.stop)
	synctest.Wait()
	return r
}

// sign is a Watchdog beside another alert.
func sign() []gateway.Signal {
	return []gateway.Signal{{Name: "Other", Resolved: true}, {Name: "Watchdog"}}
}

// pass lets time pass.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// want compares what replicas have told with whether the source is silent.
func want(t *testing.T, what string, silent bool, all ...*replica) {
	t.Helper()
	for i, r := range all {
		if _, told := r.told(); told != silent || r.Status().Silent != silent {
			t.Errorf("%s: replica %d tells that silent is %v, and %v", what, i, told, r.Status().Silent)
		}
	}
}

// TestSignsAreShared: a sign that comes to one replica is one for all, what comes
// to none is told by all, and a sign ends it.
func TestSignsAreShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, logs := new(kept), new(bytes.Buffer)
		a, b := mustRun(t, k, usual, logs), mustRun(t, k, usual, new(bytes.Buffer))
		pass(100 * time.Hour)
		want(t, "no sign ever", false, a, b)
		if k.wrote() != 0 {
			t.Errorf("%d writes of nothing", k.wrote())
		}
		var last time.Time
		for range 20 {
			last = time.Now()
			a.Hear(sign())
			pass(usual.Interval + usual.Grace - 30*time.Second)
			want(t, "signs come late to one", false, a, b)
		}
		if at, _ := b.told(); !at.Equal(last) {
			t.Errorf("the other knows a sign of %v, not %v", at, last)
		}
		pass(29 * time.Second)
		want(t, "a second before", false, a, b)
		pass(time.Second)
		want(t, "the sign stays away", true, a, b)
		if s := b.Status(); !s.Last.Equal(last) || !s.Due.Equal(last.Add(usual.Interval)) || s.Ended || s.Trouble != "" {
			t.Errorf("%+v", s)
		}
		b.Hear(sign())
		synctest.Wait()
		want(t, "a sign to one", false, b)
		pass(20 * time.Second)
		want(t, "a sign to the other", false, a)
		if n := strings.Count(logs.String(), "level=ERROR"); n != 1 {
			t.Errorf("a silence was logged %d times:\n%s", n, logs)
		}
	})
}

// TestRestart: a restart claims no silence before the sender had time to try
// again, and forgets none that was found.
func TestRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, logs := new(kept), new(bytes.Buffer)
		a := mustRun(t, k, usual, logs)
		a.Hear(sign())
		a.stop() // at once: what it knows is not lost
		pass(time.Hour)
		b := mustRun(t, k, usual, logs)
		pass(usual.Grace - time.Second)
		want(t, "after the start", false, b)
		pass(time.Second)
		want(t, "after the start and the grace", true, b)
		b.stop()
		pass(time.Hour)
		c := mustRun(t, k, usual, logs)
		want(t, "at the start after a silence", true, c)
		c.Hear(sign())
		synctest.Wait()
		want(t, "a sign", false, c)
		c.stop()
		pass(time.Hour)
		want(t, "at the start after a sign", false, mustRun(t, k, usual, logs))
	})
}

// TestEnd: the sender's own word that the alert has ended is soon believed.
func TestEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		logs := new(bytes.Buffer)
		r := mustRun(t, new(kept), gateway.Heartbeat{Interval: 12 * time.Hour, Grace: usual.Grace}, logs)
		end := gateway.Signal{Name: "Watchdog", Resolved: true}
		r.Hear([]gateway.Signal{end})
		pass(time.Hour)
		want(t, "the end of what never was", false, r)
		r.Hear([]gateway.Signal{{Name: "Watchdog"}, end})
		pass(time.Hour)
		want(t, "one of two has ended", false, r)
		r.Hear([]gateway.Signal{end})
		pass(usual.Grace - time.Second)
		want(t, "within the grace", false, r)
		pass(time.Second)
		want(t, "beyond it", true, r)
		if !r.Status().Ended {
			t.Error("nothing is said of the end")
		}
		r.Hear([]gateway.Signal{{Name: "Watchdog"}})
		synctest.Wait()
		want(t, "it fires again", false, r)
	})
}

// TestExpected: where a sign is expected in any case, the first may stay away, too,
// however often the gateway is restarted meanwhile.
func TestExpected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := new(kept)
		rule := usual
		rule.Expected = true
		for range 6 {
			r := mustRun(t, k, rule, new(bytes.Buffer))
			pass(2 * time.Minute)
			want(t, "before it is due", false, r)
			r.stop()
		}
		r := mustRun(t, k, rule, new(bytes.Buffer))
		pass(usual.Grace)
		want(t, "due for longer than the grace", true, r)
	})
}

// TestTrouble: nobody claims a silence while what the others know can't be told,
// and what was claimed stands until a sign.
func TestTrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, logs := new(kept), new(bytes.Buffer)
		r := mustRun(t, k, usual, logs)
		r.Hear(sign())
		pass(time.Minute)
		k.set(errors.New("forbidden"))
		pass(time.Hour)
		want(t, "nobody can be asked", false, r)
		if s := r.Status(); s.Trouble != "forbidden" || strings.Count(logs.String(), "level=WARN") != 1 {
			t.Errorf("trouble %q, logs\n%s", s.Trouble, logs)
		}
		k.set(nil)
		pass(20 * time.Second)
		want(t, "others know no more", true, r)
		k.set(errors.New("forbidden"))
		pass(time.Hour)
		want(t, "a silence that was found", true, r)
		r.Hear(sign())
		synctest.Wait()
		want(t, "a sign to this one", false, r)
	})
}

// TestFlood: whoever sends signs all the time makes few writes.
func TestFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := new(kept)
		r := mustRun(t, k, usual, new(bytes.Buffer))
		for range 6000 {
			r.Hear(sign())
			pass(10 * time.Millisecond)
		}
		if n := k.wrote(); n < 6 || n > 13 {
			t.Errorf("%d writes in a minute", n)
		}
	})
}

func TestOptions(t *testing.T) {
	t.Parallel()
	good := heartbeat.Options{
		Source: "prometheus", Alert: "Watchdog", Rule: usual, Keeper: new(kept), Observer: new(watcher), Logger: slog.Default(), Now: time.Now,
	}
	if _, err := heartbeat.New(good); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*heartbeat.Options){
		"source":   func(o *heartbeat.Options) { o.Source = "" },
		"alert":    func(o *heartbeat.Options) { o.Alert = "" },
		"interval": func(o *heartbeat.Options) { o.Rule.Interval = 0 },
		"grace":    func(o *heartbeat.Options) { o.Rule.Grace = heartbeat.MinGrace - 1 },
		"keeper":   func(o *heartbeat.Options) { o.Keeper = nil },
		"observer": func(o *heartbeat.Options) { o.Observer = nil },
		"logger":   func(o *heartbeat.Options) { o.Logger = nil },
		"clock":    func(o *heartbeat.Options) { o.Now = nil },
	} {
		o := good
		if spoil(&o); newError(o) == nil {
			t.Errorf("no %s, and no error", name)
		}
	}
}

func newError(o heartbeat.Options) error {
	_, err := heartbeat.New(o)
	return err
}
