package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	corev1 "k8s.io/client-go/applyconfigurations/core/v1"
)

const (
	// stormTarget is how long a storm's senders may wait for their answers.
	stormTarget = time.Second
	// stormWrites is how many writes a storm may take beyond the requests of
	// its first episodes.
	stormWrites = 20
)

// Storm measures how long a storm's senders wait, and what it takes the
// Kubernetes API: new episodes in one namespace, posted at once.
func Storm(ctx context.Context, o Options) error {
	o.setDefaults()
	s, err := newStorm(ctx, o)
	if err != nil {
		return err
	}
	defer func() { _ = s.gateway.stop() }()
	fmt.Fprintf(o.Out, "storms: new episodes in one namespace, median of %d runs, each in a fresh namespace\n", o.Rounds)
	t := o.table("webhooks", "alerts each", "time", "fastest", "slowest", "creates", "applies", "beyond the first requests", "CPU gateway")
	var missed []error
	for _, shape := range []struct{ webhooks, alerts int }{{1, o.Storm}, {10, o.Storm / 10}, {1, 10 * o.Storm}} {
		s.webhooks, s.alerts = shape.webhooks, shape.alerts
		switch err := s.measure(ctx); {
		case errors.Is(err, errAnswered):
			missed = append(missed, fmt.Errorf("%w: %d webhooks of %d alerts: %w", ErrTarget, s.webhooks, s.alerts, err))
			continue
		case err != nil:
			return fmt.Errorf("%d webhooks of %d alerts: %w", s.webhooks, s.alerts, err)
		}
		s.tell(t)
		if s.webhooks*s.alerts == o.Storm {
			missed = append(missed, s.judge())
		}
	}
	return errors.Join(append(missed, t.Flush())...)
}

// storm measures storms of one shape.
type storm struct {
	Options
	core             kubernetes.Interface
	gateway          *process
	first            int // requests that episodes have before there is a storm
	next             int // the first namespace in which there was none
	webhooks, alerts int
	runs             []gust
}

// gust is what one storm took.
type gust struct {
	took, cpu       time.Duration
	creates, writes int64
}

func newStorm(ctx context.Context, o Options) (*storm, error) {
	const namespace = "bench-storm"
	reach, err := o.install(ctx, namespace)
	if err != nil {
		return nil, err
	}
	s := &storm{Options: o, first: stormy(namespace).StormRules().Rate.Count}
	if s.core, err = kubernetes.NewForConfig(reach); err != nil {
		return nil, err
	}
	s.gateway, err = start(role{Kind: kindGateway, Kubeconfig: o.Kubeconfig, Namespace: namespace, Storms: true})
	return s, err
}

// measure lets storms of one shape loose, one after the other. The first one
// warms up.
func (s *storm) measure(ctx context.Context) error {
	s.runs = nil
	for round := range s.Rounds + 1 {
		g, err := s.profiled(ctx, round == s.Rounds)
		if err != nil {
			return err
		}
		if round > 0 {
			s.runs = append(s.runs, g)
		}
	}
	return nil
}

// profiled writes a CPU profile of the gateway in one run, where one is asked
// for.
func (s *storm) profiled(ctx context.Context, last bool) (gust, error) {
	if s.Profiles == "" || !last {
		return s.run(ctx)
	}
	file := filepath.Join(s.Profiles, fmt.Sprintf("storm-%d-%d.prof", s.webhooks, s.alerts))
	if _, err := s.gateway.ask(askProfile + " " + file); err != nil {
		return gust{}, err
	}
	g, err := s.run(ctx)
	_, stopping := s.gateway.ask(askProfile)
	return g, errors.Join(err, stopping)
}

// run lets one storm loose, in a namespace that had none.
func (s *storm) run(ctx context.Context) (gust, error) {
	where := fmt.Sprintf("storm-%d", s.next)
	s.next++
	labelled := corev1.Namespace(where).WithLabels(map[string]string{"environment": "production"})
	if _, err := s.core.CoreV1().Namespaces().Apply(ctx, labelled, metav1.ApplyOptions{FieldManager: "bench", Force: true}); err != nil {
		return gust{}, err
	}
	bodies := newAlerts().storm(where, s.webhooks, s.alerts)
	before, err := s.look(ctx)
	if err != nil {
		return gust{}, err
	}
	begin := time.Now()
	if _, err := (load{addr: s.gateway.addr, connections: s.webhooks, next: once(bodies)}).run(ctx); err != nil {
		return gust{}, err
	}
	took := time.Since(begin)
	after, err := s.look(ctx)
	if err != nil {
		return gust{}, err
	}
	return gust{
		took: took, cpu: after.cpu - before.cpu,
		creates: after.creates - before.creates, writes: after.writes - before.writes,
	}, nil
}

// look returns the gateway's counts of writes so far, and its CPU time.
func (s *storm) look(ctx context.Context) (g gust, err error) {
	stats, err := s.gateway.ask(askStats)
	if err != nil {
		return g, err
	}
	g.cpu = stats.CPU
	writes, err := s.gateway.writes(ctx)
	for verb, n := range writes {
		g.writes += n
		if verb == "create" {
			g.creates += n
		}
	}
	return g, err
}

// writes reads the gateway's metric of writes to the Kubernetes API, by verb.
func (p *process) writes(ctx context.Context) (map[string]int64, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.admin+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	byVerb := make(map[string]int64)
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() {
		var code, verb string
		var n float64
		if _, err := fmt.Sscanf(lines.Text(), "gateway_kubernetes_writes_total{code=%q,verb=%q} %g", &code, &verb, &n); err == nil {
			byVerb[verb] += int64(n)
		}
	}
	if len(byVerb) == 0 {
		return nil, errors.New("no gateway_kubernetes_writes_total among the metrics")
	}
	return byVerb, lines.Err()
}

// of returns the median over the runs of a figure.
func (s *storm) of(figure func(gust) float64) float64 {
	var all []float64
	for _, g := range s.runs {
		all = append(all, figure(g))
	}
	return median(all)
}

// beyond returns how many writes there were beyond the requests that the first
// episodes had.
func (s *storm) beyond() float64 {
	return s.of(func(g gust) float64 { return float64(g.writes) }) - float64(s.first)
}

func (s *storm) took() time.Duration {
	return time.Duration(s.of(func(g gust) float64 { return float64(g.took) }))
}

func (s *storm) tell(t table) {
	ms := func(d time.Duration) string { return fmt.Sprintf("%d ms", d.Milliseconds()) }
	byTime := slices.SortedFunc(slices.Values(s.runs), func(a, b gust) int { return int(a.took - b.took) })
	creates := s.of(func(g gust) float64 { return float64(g.creates) })
	applies := s.of(func(g gust) float64 { return float64(g.writes - g.creates) })
	cpu := time.Duration(s.of(func(g gust) float64 { return float64(g.cpu) }))
	t.row(s.webhooks, s.alerts, ms(s.took()), ms(byTime[0].took), ms(byTime[len(byTime)-1].took),
		int(creates), int(applies), int(s.beyond()), ms(cpu))
}

func (s *storm) judge() error {
	if took := s.took(); took >= stormTarget {
		return fmt.Errorf("%w: %d webhooks of %d alerts were answered after %s, want less than %s", ErrTarget, s.webhooks, s.alerts, took, stormTarget)
	}
	if n := s.beyond(); n > stormWrites {
		return fmt.Errorf("%w: %d webhooks of %d alerts took %.0f writes beyond the first %d requests, want at most %d",
			ErrTarget, s.webhooks, s.alerts, n, s.first, stormWrites)
	}
	return nil
}
