// Package flood proves that one source that sends far too much takes nothing from
// another: the gateway's executable on a real Kubernetes API, one sender at twenty
// times its source's limit and another at a steady pace beside it.
//
// The command in run measures for a minute what is timing; the test of this
// package checks for seconds what is not.
package flood

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"kubernaut.io/gateway/app"
	"kubernaut.io/gateway/test/cluster"
	"kubernaut.io/gateway/test/fleet"
)

const (
	namespace = "flood"
	// limit is the noisy source's signals a second, and times how many times that
	// come.
	limit, times = 500, 20
	// inBody is how many alerts a body has.
	inBody = 10
	// steadyInterval is between two bodies of the steady source, and newInterval
	// between two of its new episodes.
	steadyInterval, newInterval = 20 * time.Millisecond, 500 * time.Millisecond
	// probeInterval is between two looks at the operators' port.
	probeInterval = 200 * time.Millisecond
	// newEvery is of how many of the noisy source's bodies one has an episode that
	// was not sent before.
	newEvery = 100
)

// The sources.
const (
	noisy  = "noisy"
	steady = "steady"
)

// Options says how to flood. All but Out is required.
type Options struct {
	// Gateway is the executable, Dir where its files go.
	Gateway, Dir string
	Cluster      *cluster.Cluster
	// Length is for how long both sources send, and the steady one alone.
	Length time.Duration
	// Out is where the report goes; nowhere where it is nil.
	Out io.Writer
}

// World is a gateway for two sources, noisy and steady, and what was sent to it.
type World struct {
	Options
	reach   *rest.Config
	replica *fleet.Replica
	addr    string
	start   time.Time

	mu sync.Mutex
	// accepted counts by pod what was answered 2xx.
	accepted map[string]int64
	// refused are all requests that were not.
	refused int64
}

func start(ctx context.Context, o Options) (*World, error) {
	reach, err := clientcmd.BuildConfigFromFlags("", o.Cluster.Kubeconfig())
	if err != nil {
		return nil, err
	}
	reach.QPS = -1
	if err := app.Install(ctx, reach, namespace); err != nil {
		return nil, err
	}
	const settings = `namespace: %s
sources:
- {name: %s, format: alertmanager, rateLimit: {signalsPerSecond: %d}}
- {name: %s, format: alertmanager}
storm: {rate: {threshold: 0}, pattern: {threshold: 0}}
audit: {file: %q}
shutdownDelay: 0s
`
	host := fleet.Loopback(40)
	w := &World{Options: o, reach: reach, addr: host + ":8080", start: time.Now().Add(-time.Minute), accepted: make(map[string]int64)}
	w.replica, err = fleet.NewReplica(fleet.ReplicaOptions{
		Name: "gateway", Binary: o.Gateway, Dir: o.Dir, Host: host,
		Config:     fmt.Sprintf(settings, namespace, noisy, limit, steady, filepath.Join(o.Dir, "audit.jsonl")),
		Kubeconfig: o.Cluster.Kubeconfig(), API: o.Cluster.Address(),
	})
	if err != nil {
		return nil, err
	}
	if err := w.replica.Start(); err != nil {
		return nil, err
	}
	return w, w.replica.AwaitReady()
}

// MustStart runs a gateway until the test ends, of Options without a length.
func MustStart(tb testing.TB, o Options) *World {
	tb.Helper()
	w, err := start(tb.Context(), o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := w.replica.Terminate(); err != nil {
			tb.Error(err)
		}
	})
	return w
}

// Addr is where webhooks are posted to.
func (w *World) Addr() string { return w.addr }

// Body returns a webhook with an alert about a pod.
func (w *World) Body(pod string) string { return string(w.body([]string{pod})) }

// Run floods a gateway and returns what it has seen. An error means that something
// could not be run, or that a promise which is none of timing was broken; those of
// timing are for Report.Missed.
func Run(ctx context.Context, o Options) (_ *Report, err error) {
	w, err := start(ctx, o)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, w.replica.Terminate()) }()
	r := &Report{Length: o.Length}
	// The first bodies make the requests, the others are duplicates.
	if _, err := w.together(ctx, "warm-", 2*time.Second); err != nil {
		return nil, fmt.Errorf("warm up: %w", err)
	}
	before, err := w.alone(ctx, "before-")
	if err != nil {
		return nil, fmt.Errorf("the steady source alone: %w", err)
	}
	if r.both, err = w.together(ctx, "flood-", o.Length); err != nil {
		return nil, fmt.Errorf("the flood: %w", err)
	}
	after, err := w.alone(ctx, "after-")
	if err != nil {
		return nil, fmt.Errorf("the steady source alone, afterwards: %w", err)
	}
	// A half before and a half after, so that the machine's other work falls on both.
	r.quiet = append(before.took, after.took...)
	if err := w.counted(r); err != nil {
		return nil, err
	}
	// Stopping writes all counts.
	if err := w.replica.Terminate(); err != nil {
		return nil, err
	}
	r.Requests, r.Lost, err = w.reconcile(ctx)
	if o.Out != nil {
		r.print(o.Out)
	}
	return r, errors.Join(err, r.Broken())
}

// bodies returns those of a source that it sends all the time.
func (w *World) bodies(source string, n int) (bodies [][]byte, pods [][]string) {
	for i := range n {
		var group []string
		for j := range inBody {
			group = append(group, fmt.Sprintf("%s-%d-%d", source, i, j))
		}
		bodies, pods = append(bodies, w.body(group)), append(pods, group)
	}
	return bodies, pods
}

// fresh returns bodies with one alert each, of which there is no request yet.
func (w *World) fresh(name string, n int) (bodies [][]byte, pods [][]string) {
	for i := range n {
		pod := fmt.Sprintf("%s%d", name, i)
		bodies, pods = append(bodies, w.body([]string{pod})), append(pods, []string{pod})
	}
	return bodies, pods
}

// body is an Alertmanager webhook about pods.
func (w *World) body(pods []string) []byte {
	alerts := make([]string, len(pods))
	for i, pod := range pods {
		alerts[i] = fmt.Sprintf(`{"status":"firing","labels":{"alertname":"KubePodCrashLooping","namespace":"shop","pod":%q,"severity":"warning"},`+
			`"annotations":{"description":"Pod shop/%s is in waiting state.","runbook_url":"https://runbooks.prometheus-operator.dev/runbooks/kubernetes/kubepodcrashlooping"},`+
			`"startsAt":%q,"endsAt":"0001-01-01T00:00:00Z"}`, pod, pod, w.start.UTC().Format(time.RFC3339Nano))
	}
	return fmt.Appendf(nil, `{"version":"4","status":"firing","receiver":"remediation","alerts":[%s]}`, strings.Join(alerts, ","))
}

// alone has the steady source send by itself, for half the time.
func (w *World) alone(ctx context.Context, name string) (*sent, error) {
	p := w.phase(name, w.Length/2)
	return p.steady(ctx)
}

// together has both sources send.
func (w *World) together(ctx context.Context, name string, length time.Duration) (both, error) {
	p := w.phase(name, length)
	group, inner := errgroup.WithContext(ctx)
	var b both
	ended := make(chan struct{})
	group.Go(func() (err error) {
		defer close(ended)
		b.steady, err = p.steady(inner)
		return err
	})
	group.Go(func() (err error) {
		b.noisy, err = p.noisy(inner)
		return err
	})
	group.Go(func() (err error) {
		b.memory, err = w.memory(inner, ended)
		return err
	})
	group.Go(func() (err error) {
		b.probes, err = w.probe(inner, ended)
		return err
	})
	err := group.Wait()
	return b, err
}

// phase is a time in which sources send.
type phase struct {
	*World
	name   string
	length time.Duration
}

func (w *World) phase(name string, length time.Duration) phase { return phase{w, name, length} }

// steady sends what is known, of which the times count, and new episodes beside it.
func (p phase) steady(ctx context.Context) (known *sent, err error) {
	bodies, pods := p.bodies(steady, 10)
	newBodies, newPods := p.fresh(p.name+steady+"-", int(p.length/newInterval))
	var created *sent
	group, inner := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		s := sender{addr: p.addr, source: steady, bodies: bodies, interval: steadyInterval, connections: 4}
		known, err = s.run(inner, p.length)
		return err
	})
	group.Go(func() (err error) {
		s := sender{addr: p.addr, source: steady, bodies: newBodies, interval: newInterval, connections: 2, once: true}
		created, err = s.run(inner, p.length)
		return err
	})
	if err := group.Wait(); err != nil {
		return nil, err
	}
	p.note(known, pods)
	p.note(created, newPods)
	if n := known.refused.Load() + created.refused.Load(); n > 0 {
		return known, fmt.Errorf("%d requests of the steady source were refused", n)
	}
	return known, nil
}

// noisy sends far beyond its limit.
func (p phase) noisy(ctx context.Context) (*sent, error) {
	const interval = time.Second * inBody / (limit * times)
	known, knownPods := p.bodies(noisy, 20)
	var bodies [][]byte
	var pods [][]string
	for i := range int(p.length / interval) {
		body, about := known[i%len(known)], knownPods[i%len(known)]
		if i%newEvery == 0 {
			about = append([]string{fmt.Sprintf("%s%s-%d", p.name, noisy, i)}, about[1:]...)
			body = p.body(about)
		}
		bodies, pods = append(bodies, body), append(pods, about)
	}
	s := sender{addr: p.addr, source: noisy, bodies: bodies, interval: interval, connections: 8}
	result, err := s.run(ctx, p.length)
	if err != nil {
		return nil, err
	}
	p.note(result, pods)
	return result, nil
}

// note adds what was accepted to what has to be found.
func (w *World) note(s *sent, pods [][]string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.refused += s.refused.Load()
	for i := range s.accepted {
		n := s.accepted[i].Load()
		s.signals += n * int64(len(pods[i]))
		for _, pod := range pods[i] {
			w.accepted[pod] += n
		}
	}
}

// probe looks at the operators' port until ended is closed, and returns how long
// each look took. It has to be answered each time.
func (w *World) probe(ctx context.Context, ended <-chan struct{}) ([]time.Duration, error) {
	client := &http.Client{Timeout: 5 * time.Second}
	tick := time.NewTicker(probeInterval)
	defer tick.Stop()
	var took []time.Duration
	for i := 0; ; i++ {
		select {
		case <-tick.C:
		case <-ended:
			return took, nil
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		path := [...]string{"/readyz", "/metrics"}[i%2]
		begin := time.Now()
		response, err := client.Get(w.replica.AdminURL + path)
		if err != nil {
			return nil, fmt.Errorf("the operators' port: %w", err)
		}
		_, err = io.Copy(io.Discard, response.Body)
		if err = errors.Join(err, response.Body.Close()); err != nil || response.StatusCode != http.StatusOK {
			return nil, fmt.Errorf("the operators' port: %s: %s (%w)", path, response.Status, err)
		}
		took = append(took, time.Since(begin))
	}
}

// percentile returns the one that p of 1 lie below.
func percentile(took []time.Duration, p float64) time.Duration {
	if len(took) == 0 {
		return 0
	}
	took = slices.Sorted(slices.Values(took))
	return took[min(int(float64(len(took))*p), len(took)-1)]
}
