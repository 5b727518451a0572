package reconcile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	gateway "kubernaut.io/gateway"
	"kubernaut.io/gateway/adapter/alertmanager"
)

// now is when tests look; the alerts of said began long before.
var now = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

// world is what is known here, by the names of signals.
type world struct {
	mu sync.Mutex
	// known are those that are accounted for, ended those of which an end came.
	known map[string]gateway.Outcome
	ended map[string]time.Time
	// taken are those that came with each body. Refuse is what taking in ends with.
	taken  [][]string
	refuse error
	silent bool

	looked []string
}

func newWorld() *world {
	return &world{known: make(map[string]gateway.Outcome), ended: make(map[string]time.Time)}
}

func (w *world) account(_ context.Context, signals []gateway.Signal) ([]gateway.Account, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.silent {
		return nil, gateway.ErrNotCurrent
	}
	accounts := make([]gateway.Account, len(signals))
	for i := range signals {
		signals[i].ReceivedAt = now
		signals[i].Normalize(gateway.Identity{})
		if o, ok := w.known[signals[i].Name]; ok {
			accounts[i] = gateway.Account{Outcome: o}
			continue
		}
		accounts[i] = gateway.Account{Missing: true, Outcome: gateway.Created, Reason: gateway.ReasonNewEpisode, Ended: w.ended[signals[i].Name]}
	}
	return accounts, nil
}

func (w *world) take(_ context.Context, body []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.refuse != nil {
		return w.refuse
	}
	batch, err := alertmanager.Decode(body)
	if err != nil {
		return err
	}
	var names []string
	for _, s := range batch.Signals {
		names = append(names, s.Name)
		w.known[s.Name] = gateway.Duplicate
	}
	w.taken = append(w.taken, names)
	return nil
}

// Looked implements Observer.
func (w *world) Looked(_ time.Time, firing, unaccounted int) {
	w.looked = append(w.looked, fmt.Sprintf("%d of %d", unaccounted, firing))
}

// Failed implements Observer.
func (w *world) Failed() { w.looked = append(w.looked, "failed") }

// TakenIn implements Observer.
func (w *world) TakenIn(n int) { w.looked = append(w.looked, fmt.Sprintf("took %d", n)) }

// serve answers as an Alertmanager.
func serve(t *testing.T, answer http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(answer)
	t.Cleanup(server.Close)
	return server.URL
}

// firing answers with alerts of these names.
func firing(names ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, alerts(names...))
	}
}

func alerts(names ...string) string {
	var all []string
	for _, name := range names {
		all = append(all, said(fmt.Sprintf(`{"alertname":%q,"namespace":"shop","pod":"cart-0"}`, name), ours, active))
	}
	return "[" + strings.Join(all, ",") + "]"
}

func mustAlertmanager(t *testing.T, o AlertmanagerOptions) *Alertmanager {
	t.Helper()
	o.Receiver, o.Now = "gateway", func() time.Time { return now }
	m, err := NewAlertmanager(o)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func mustReconciler(t *testing.T, w *world, place Place, change ...func(o *Options)) *Reconciler {
	t.Helper()
	o := Options{
		Source: "prometheus", From: "alertmanager:9093", Place: place, Every: 5 * time.Minute, After: 10 * time.Minute,
		Decode: alertmanager.Decode, Account: w.account, Take: w.take,
		Observer: w, Logger: slog.New(slog.DiscardHandler), Now: func() time.Time { return now },
	}
	for _, change := range change {
		change(&o)
	}
	r, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestLook(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.known["Known"], w.known["Left"], w.known["Bad"] = gateway.Duplicate, gateway.Suppressed, gateway.Rejected
	w.ended["Again"] = now.Add(-time.Minute)
	w.ended["LongAgain"] = now.Add(-time.Hour)
	answer := strings.TrimSuffix(alerts("Known", "Lost", "Left", "Bad", "Again", "LongAgain"), "]")
	answer += `,null,` + said(cart, `{"name":"pager"}`, active) + "," +
		strings.Replace(said(cart, ours, active), "08:14:22.331Z\",\"status", "11:55:00Z\",\"status", 1) + "]"
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if got := r.URL.Path + "?" + r.URL.RawQuery; got != "/am/api/v2/alerts?active=true&inhibited=false&receiver=gateway&silenced=false&unprocessed=false" {
			t.Errorf("asked for %s", got)
		}
		_, _ = io.WriteString(w, answer)
	})
	r := mustReconciler(t, w, mustAlertmanager(t, AlertmanagerOptions{URL: url + "/am/", After: 10 * time.Minute}))
	got := r.Look(t.Context(), false)
	want := Seen{Firing: 7, Young: 2, Others: 1, Unreadable: 1}
	if got.Seen != want || got.Refused != 1 || got.Unaccounted != 2 || got.TakenIn != 0 || got.Error != "" || got.Complete() {
		t.Errorf("%+v", got)
	}
	if len(got.Listed) != 2 || got.Listed[0].Name != "LongAgain" || got.Listed[1].Name != "Lost" {
		t.Fatalf("%+v", got.Listed)
	}
	l := got.Listed[1]
	if l.About != "Pod/shop/cart-0" || l.Severity != "unknown" || l.Since.IsZero() || l.Fingerprint.IsZero() || l.Reason != gateway.ReasonNewEpisode {
		t.Errorf("%+v", l)
	}
	if len(w.taken) > 0 || fmt.Sprint(w.looked) != "[2 of 7]" {
		t.Errorf("taken in %v, told %v", w.taken, w.looked)
	}
	if again := r.Look(t.Context(), false); !again.At.Equal(got.At) || len(w.looked) != 1 {
		t.Errorf("a moment later it looks again: %v", w.looked)
	}
	got = r.Look(t.Context(), true)
	if got.TakenIn != 2 || got.Unaccounted != 0 || !got.Complete() || fmt.Sprint(w.taken) != "[[Lost LongAgain]]" {
		t.Errorf("%+v, taken in %v", got, w.taken)
	}
}

// TestMany: thousands of alerts are looked up and taken in in bodies, and a
// list of them is bounded.
func TestMany(t *testing.T) {
	t.Parallel()
	const n = 5_000
	url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		for i := range n {
			_, _ = fmt.Fprintf(w, "%c%s", "[,"[min(i, 1)], said(fmt.Sprintf(`{"alertname":"A%d"}`, i), ours, active))
		}
		_, _ = io.WriteString(w, "]")
	})
	w := newWorld()
	bodies := 0
	r := mustReconciler(t, w, mustAlertmanager(t, AlertmanagerOptions{URL: url, MaxBodyBytes: 64 << 10}), func(o *Options) {
		o.Decode = func(body []byte) (gateway.Batch, error) {
			if bodies++; len(body) > 64<<10 {
				t.Errorf("a body of %d bytes", len(body))
			}
			return alertmanager.Decode(body)
		}
	})
	got := r.Look(t.Context(), false)
	if got.Unaccounted != n || len(got.Listed) != MaxListed || bodies < n/bodyAlerts {
		t.Errorf("%d unaccounted, %d listed, %d bodies", got.Unaccounted, len(got.Listed), bodies)
	}
	if got = r.Look(t.Context(), true); got.TakenIn != n || got.Unaccounted != 0 {
		t.Errorf("%d taken in, %d not", got.TakenIn, got.Unaccounted)
	}
	for _, names := range w.taken {
		if len(names) > takeSignals {
			t.Errorf("%d at once", len(names))
		}
	}
}

// TestFailures: what was found before stands, and it is told what is wrong.
func TestFailures(t *testing.T) {
	t.Parallel()
	secret := filepath.Join(t.TempDir(), "token")
	for _, test := range []struct {
		name   string
		answer http.HandlerFunc
		silent bool
		err    string
	}{
		{"refused", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }, false, "403"},
		{"elsewhere", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://127.0.0.1:1/", http.StatusFound)
		}, false, "302"},
		{"a page", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") }, false, "is it an Alertmanager"},
		{"half of it", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, strings.TrimSuffix(alerts("Lost"), "]"))
			_ = http.NewResponseController(w).Flush() // the test sees what came
			panic(http.ErrAbortHandler)
		}, false, "ends in the middle"},
		{"nobody can tell here", firing("Lost"), true, gateway.ErrNotCurrent.Error()},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var fails atomic.Bool
			url := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if fails.Load() {
					test.answer(w, r)
				} else {
					firing("Lost")(w, r)
				}
			})
			w := newWorld()
			at := now
			r := mustReconciler(t, w, mustAlertmanager(t, AlertmanagerOptions{URL: url}), func(o *Options) { o.Now = func() time.Time { return at } })
			if got := r.Look(t.Context(), false); got.Unaccounted != 1 || got.Error != "" {
				t.Fatalf("%+v", got)
			}
			fails.Store(true)
			w.silent, at = test.silent, at.Add(time.Minute)
			got := r.Look(t.Context(), false)
			if !strings.Contains(got.Error, test.err) || got.Unaccounted != 1 || len(got.Listed) != 1 || !got.At.Equal(now) || got.Complete() {
				t.Errorf("%+v, want %q", got, test.err)
			}
			fails.Store(false)
			w.silent, w.known["Lost"] = false, gateway.Duplicate
			if got = r.Look(t.Context(), false); !got.Complete() || fmt.Sprint(w.looked) != "[1 of 1 failed 0 of 1]" {
				t.Errorf("%+v, told %v", got, w.looked)
			}
		})
	}
	r := mustReconciler(t, newWorld(), mustAlertmanager(t, AlertmanagerOptions{URL: "http://127.0.0.1:1", TokenFile: secret}))
	if got := r.Look(t.Context(), false); !strings.Contains(got.Error, "token") || !got.At.IsZero() {
		t.Errorf("without its token: %+v", got)
	}
}

// TestNotTaken: what could not be taken in is unaccounted for still.
func TestNotTaken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.refuse = errors.New("more than 1 signals per second")
		r := mustReconciler(t, w, fixed{"Lost"})
		if got := r.Look(t.Context(), true); got.Unaccounted != 1 || got.TakenIn != 0 || !strings.Contains(got.Refusal, "per second") {
			t.Errorf("%+v", got)
		}
		go func() {
			time.Sleep(takePause + takePause/2)
			w.mu.Lock()
			w.refuse = nil
			w.mu.Unlock()
		}()
		if got := r.Look(t.Context(), true); got.Unaccounted != 0 || got.TakenIn != 1 {
			t.Errorf("%+v", got)
		}
	})
}

// fixed is a Place where these alerts fire.
type fixed []string

func (f fixed) Look(_ context.Context, take func(body []byte) error) (Seen, error) {
	var payloads [][]byte
	for _, name := range f {
		p, err := parseAlert([]byte(strings.Trim(alerts(name), "[]"))).payload()
		if err != nil {
			return Seen{}, err
		}
		payloads = append(payloads, p)
	}
	return Seen{Firing: len(f)}, take(f.Join(payloads))
}

func (fixed) Join(payloads [][]byte) []byte { return new(Alertmanager).Join(payloads) }

// blocked is a Place that answers when it is let.
type blocked struct {
	fixed
	asked chan struct{}
	let   chan struct{}
}

func (b blocked) Look(ctx context.Context, take func(body []byte) error) (Seen, error) {
	b.asked <- struct{}{}
	select {
	case <-b.let:
		return b.fixed.Look(ctx, take)
	case <-ctx.Done():
		return Seen{}, context.Cause(ctx)
	}
}

// TestRun: the first look comes after what senders take to try again, and of
// several replicas one takes in.
func TestRun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, leads := newWorld(), new(atomic.Bool)
		r := mustReconciler(t, w, fixed{"Lost"}, func(o *Options) {
			o.Now, o.TakeIn, o.Leads = time.Now, true, leads.Load
		})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- r.Run(ctx) }()
		time.Sleep(10*time.Minute - time.Second)
		if !r.Last().At.IsZero() {
			t.Error("it looked too early")
		}
		if early := r.Look(ctx, false); !early.Early || early.Unaccounted != 1 {
			t.Errorf("%+v", early)
		}
		time.Sleep(5 * time.Second)
		if last := r.Last(); last.Unaccounted != 1 || last.TakenIn != 0 {
			t.Errorf("who is not elected took in: %+v", last)
		}
		leads.Store(true)
		time.Sleep(5 * time.Minute)
		if last := r.Last(); last.Unaccounted != 0 || last.TakenIn != 1 || last.Early {
			t.Errorf("%+v", last)
		}
		time.Sleep(5 * time.Minute)
		if last := r.Last(); last.Unaccounted != 0 || last.TakenIn != 0 {
			t.Errorf("once it is known: %+v", last)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// TestOneLook: who looks at the same time shares one look, who has no time gets
// the last one's outcome, and the end ends it.
func TestOneLook(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		b := blocked{fixed{"Lost"}, make(chan struct{}), make(chan struct{})}
		r := mustReconciler(t, w, b)
		running, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- r.Run(running) }()
		reports := make(chan Report, 2)
		for range 2 {
			go func() { reports <- r.Look(t.Context(), false) }()
		}
		<-b.asked
		hurried, end := context.WithTimeout(t.Context(), time.Second)
		defer end()
		if got := r.Look(hurried, false); !got.Stale || got.Complete() || got.Listed == nil {
			t.Errorf("%+v", got)
		}
		b.let <- struct{}{}
		for range 2 {
			if got := <-reports; got.Unaccounted != 1 || got.Stale {
				t.Errorf("%+v", got)
			}
		}
		go func() { reports <- r.Look(t.Context(), true) }()
		<-b.asked
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if got := <-reports; got.Error == "" || len(w.taken) > 0 {
			t.Errorf("%+v", got)
		}
	})
}

func TestCredentials(t *testing.T) {
	t.Parallel()
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for want, o := range map[string]AlertmanagerOptions{
		"Bearer s3cret":      {TokenFile: secret},
		"Basic bWU6czNjcmV0": {Username: "me", PasswordFile: secret},
		"":                   {},
	} {
		o.URL = serve(t, func(w http.ResponseWriter, r *http.Request) {
			if got := r.Header.Get("Authorization"); got != want {
				t.Errorf("%q, want %q", got, want)
			}
			_, _ = io.WriteString(w, "[]")
		})
		if _, err := mustAlertmanager(t, o).Look(t.Context(), nil); err != nil {
			t.Error(err)
		}
	}
}

func TestOptionsAreChecked(t *testing.T) {
	t.Parallel()
	for _, o := range []AlertmanagerOptions{
		{Receiver: "gateway"},
		{URL: "alertmanager", Receiver: "gateway"},
		{URL: "http://alertmanager"},
		{URL: "http://alertmanager", Receiver: "gateway", After: -1},
		{URL: "http://alertmanager", Receiver: "gateway", CAFile: "answer.go"},
		{URL: "http://alertmanager", Receiver: "gateway", CAFile: "nothing"},
	} {
		if _, err := NewAlertmanager(o); err == nil {
			t.Errorf("%+v: no error", o)
		}
	}
	if _, err := New(Options{}); err == nil {
		t.Error("no error without options")
	}
}

// BenchmarkLook looks at an Alertmanager with ten thousand alerts of which nothing
// is known.
func BenchmarkLook(b *testing.B) {
	var names []string
	for i := range 10_000 {
		names = append(names, fmt.Sprintf("A%d", i))
	}
	answer := alerts(names...)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, answer) }))
	b.Cleanup(server.Close)
	m, err := NewAlertmanager(AlertmanagerOptions{URL: server.URL, Receiver: "gateway"})
	if err != nil {
		b.Fatal(err)
	}
	w := newWorld()
	o := &Options{Place: m, Decode: alertmanager.Decode, Account: w.account, Now: time.Now}
	b.SetBytes(int64(len(answer)))
	b.ReportAllocs()
	for b.Loop() {
		look := &work{options: o}
		if err := look.run(b.Context()); err != nil || look.report.Unaccounted != len(names) {
			b.Fatal(look.report.Unaccounted, err)
		}
	}
}
