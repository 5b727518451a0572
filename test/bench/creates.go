package bench

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"

	"kubernaut.io/gateway"
	"kubernaut.io/gateway/adapter/alertmanager"
	"kubernaut.io/gateway/api/v1alpha1"
	"kubernaut.io/gateway/kube"
	"kubernaut.io/gateway/memledger"
)

// createTarget is what the gateway's rate of creates must be of that of a loop
// that does nothing else.
const createTarget = 0.9

// chunk is how many requests are created before it is another's turn.
const chunk = 150

// What creates requests.
const (
	byLoop     = "loop"     // a client-go loop
	byPipeline = "pipeline" // pipeline and sink, in the loop's process
	byHTTP     = "http"     // the whole gateway, one alert a body
)

// Creates measures new requests beside a loop that only creates objects of the
// same content, with the same informer running, on the same API server.
func Creates(ctx context.Context, o Options) error {
	o.setDefaults()
	c, err := newCreates(ctx, o)
	if err != nil {
		return err
	}
	defer c.close()
	fmt.Fprintf(o.Out, "new requests: median of %d runs of %d creates each in turn\n", o.Rounds, o.Creates)
	t := o.table("in flight", "loop/s", "pipeline/s", "http/s", "pipeline of loop", "http of loop")
	var missed []error
	for _, inFlight := range []int{8, 64} {
		rates, err := c.measure(ctx, inFlight)
		if err != nil {
			return err
		}
		cells := []any{inFlight}
		for _, by := range []string{byLoop, byPipeline, byHTTP} {
			cells = append(cells, fmt.Sprintf("%.0f", median(rates[by])))
		}
		pipeline := ratio(rates[byPipeline], rates[byLoop])
		t.row(append(cells, pipeline, ratio(rates[byHTTP], rates[byLoop]))...)
		if pipeline < createTarget {
			missed = append(missed, fmt.Errorf("%w: %d in flight at %.2f of the loop, want %.2f", ErrTarget, inFlight, pipeline, createTarget))
		}
	}
	return errors.Join(append(missed, t.Flush())...)
}

// ratio is the median of a to b, round by round.
func ratio(a, b []float64) float64 {
	ratios := make([]float64, len(a))
	for i := range a {
		ratios[i] = a[i] / b[i]
	}
	return median(ratios)
}

// creates is all that creates requests, in one namespace each process.
type creates struct {
	Options
	alerts   alerts
	next     int // the first alert that has no request
	pipeline *gateway.Pipeline
	loop     *loop
	gateway  *process
	stop     func() error
}

func newCreates(ctx context.Context, o Options) (*creates, error) {
	// What an earlier measurement created would make its alerts duplicates.
	local := fmt.Sprintf("bench-creates-%d", time.Now().UnixNano())
	whole := local + "-http"
	reach, err := o.install(ctx, local)
	if err != nil {
		return nil, err
	}
	if _, err := o.install(ctx, whole); err != nil {
		return nil, err
	}
	c := &creates{Options: o, alerts: newAlerts(), next: 1}
	if c.pipeline, c.stop, err = runPipeline(ctx, reach, local); err != nil {
		return nil, err
	}
	if c.gateway, err = start(role{Kind: kindGateway, Kubeconfig: o.Kubeconfig, Namespace: whole}); err != nil {
		return nil, errors.Join(err, c.stop())
	}
	if err := c.model(ctx, reach, local); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

func (c *creates) close() {
	_ = c.gateway.stop() // what it counted is of no use any more
	_ = c.stop()
}

// model has the pipeline create one request, whose content the loop creates.
func (c *creates) model(ctx context.Context, reach *rest.Config, namespace string) error {
	signals := c.take(1)
	d := c.pipeline.Process(ctx, signals)[0]
	if d.Outcome != gateway.Created {
		return fmt.Errorf("the first signal was %s (%s): %s", d.Outcome, d.Reason, d.Detail)
	}
	var err error
	c.loop, err = newLoop(ctx, reach, namespace, d.Request)
	return err
}

// take returns signals of alerts that have no request yet.
func (c *creates) take(n int) []gateway.Signal {
	batch, err := alertmanager.Decode(c.alerts.body(c.next, n))
	if err != nil {
		panic(err) // the alerts are our own
	}
	for i := range batch.Signals {
		batch.Signals[i].Source = "prometheus"
	}
	c.next += n
	return batch.Signals
}

// ways returns what creates n requests, some in flight, and tells how many a
// second.
func (c *creates) ways() map[string]func(ctx context.Context, inFlight, n int) (perSecond float64, err error) {
	return map[string]func(context.Context, int, int) (float64, error){
		byLoop: c.byLoop, byPipeline: c.byPipeline, byHTTP: c.byHTTP,
	}
}

// measure returns creates a second by who creates, one for each round.
func (c *creates) measure(ctx context.Context, inFlight int) (map[string][]float64, error) {
	rates := make(map[string][]float64)
	ways := c.ways()
	for round := range c.Rounds + 1 {
		n := c.Creates
		if round == 0 { // warms up
			n = min(n, chunk)
		}
		took := make(map[string]time.Duration)
		for done := 0; done < n; done += chunk {
			for by, run := range ways {
				rate, err := run(ctx, inFlight, min(chunk, n-done))
				if err != nil {
					return nil, fmt.Errorf("%s: %w", by, err)
				}
				took[by] += time.Duration(float64(min(chunk, n-done)) / rate * float64(time.Second))
			}
		}
		if round > 0 {
			for by, t := range took {
				rates[by] = append(rates[by], float64(n)/t.Seconds())
			}
		}
	}
	return rates, nil
}

// each calls do for 0 to n-1, of which inFlight at once, and returns how many
// a second were done.
func each(ctx context.Context, n, inFlight int, do func(ctx context.Context, i int) error) (perSecond float64, err error) {
	var next atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	begin := time.Now()
	for range inFlight {
		group.Go(func() error {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				if err := do(ctx, i); err != nil {
					return err
				}
			}
			return nil
		})
	}
	err = group.Wait()
	return float64(n) / time.Since(begin).Seconds(), err
}

func (c *creates) byLoop(ctx context.Context, inFlight, n int) (float64, error) {
	objects := make([]*v1alpha1.RemediationRequest, n)
	for i, s := range c.take(n) {
		objects[i] = c.loop.object(&s)
	}
	return each(ctx, n, inFlight, func(ctx context.Context, i int) error { return c.loop.create(ctx, objects[i]) })
}

func (c *creates) byPipeline(ctx context.Context, inFlight, n int) (float64, error) {
	signals := c.take(n)
	return each(ctx, n, inFlight, func(ctx context.Context, i int) error {
		if d := c.pipeline.Process(ctx, signals[i:i+1])[0]; d.Outcome != gateway.Created {
			return fmt.Errorf("signal was %s (%s): %s", d.Outcome, d.Reason, d.Detail)
		}
		return nil
	})
}

func (c *creates) byHTTP(ctx context.Context, inFlight, n int) (float64, error) {
	bodies := make([][]byte, n)
	for i := range bodies {
		bodies[i] = c.alerts.body(c.next, 1)
		c.next++
	}
	var next atomic.Int64
	l := load{addr: c.gateway.addr, connections: inFlight, want: http.StatusCreated, next: func() []byte {
		if i := int(next.Add(1)) - 1; i < len(bodies) {
			return bodies[i]
		}
		return nil
	}}
	return l.run(ctx)
}

// silent observes nothing.
type silent struct{}

// Created implements kube.Observer.
func (silent) Created(time.Duration, error) {}

// Wrote implements kube.Observer.
func (silent) Wrote(string, string) {}

// Decided implements gateway.Observer.
func (silent) Decided(*gateway.Signal, *gateway.Decision) {}
func (silent) Drained(*gateway.Signal, *gateway.Decision) {}

// runPipeline runs a pipeline with its sink, and thereby the informer that the
// loop has running too, and returns what stops it.
func runPipeline(ctx context.Context, reach *rest.Config, namespace string) (*gateway.Pipeline, func() error, error) {
	conf := configured(namespace)
	logger := slog.New(slog.DiscardHandler)
	sink, err := kube.New(kube.Options{
		REST: reach, Namespace: namespace, LateFiring: conf.Dedup.LateFiring,
		FlushInterval: conf.Dedup.FlushInterval, FlushRate: conf.Dedup.FlushRate,
		MaxMembers: conf.Storm.MaxMembers, RecentWindow: time.Minute, Observer: silent{}, Logger: logger,
	})
	if err != nil {
		return nil, nil, err
	}
	namespaces, err := kube.NewNamespaces(kube.NamespacesOptions{
		REST: reach, Namespace: namespace, ConfigMap: conf.Environment.ConfigMap, CacheTTL: conf.Environment.CacheTTL, Logger: logger,
	})
	if err != nil {
		return nil, nil, err
	}
	pipeline, err := gateway.NewPipeline(gateway.Options{
		Identity: conf.Identity(), Suppression: conf.Suppression(), Dedup: conf.DedupRules(), Storms: conf.StormRules(),
		Environment: conf.EnvironmentRules(), Matrix: conf.Tables(), Guard: conf.GuardRules(),
		Ledger: memledger.New(memledger.Options{}), Sink: sink, Namespaces: namespaces, Observer: silent{},
	})
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	running, ctx := errgroup.WithContext(ctx)
	running.Go(func() error { return sink.Run(ctx) })
	running.Go(func() error { return namespaces.Run(ctx) })
	stop := func() error {
		cancel()
		return errors.Join(running.Wait(), sink.Stop(context.WithoutCancel(ctx)))
	}
	if !cache.WaitForCacheSync(ctx.Done(), namespaces.HasSynced, func() bool { return closed(sink.Synced()) }) {
		return nil, nil, errors.Join(context.Cause(ctx), stop())
	}
	return pipeline, stop, nil
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// loop creates requests and does nothing else.
type loop struct {
	client *rest.RESTClient
	params runtime.ParameterCodec
	model  v1alpha1.RemediationRequest
}

func newLoop(ctx context.Context, reach *rest.Config, namespace, model string) (*loop, error) {
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		return nil, err
	}
	config := rest.CopyConfig(reach)
	config.QPS = -1
	config.APIPath, config.GroupVersion = "/apis", &v1alpha1.GroupVersion
	config.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	client, err := rest.RESTClientFor(config)
	if err != nil {
		return nil, err
	}
	l := &loop{client: client, params: runtime.NewParameterCodec(scheme)}
	var live v1alpha1.RemediationRequest
	if err := client.Get().Namespace(namespace).Resource(v1alpha1.Resource).Name(model).Do(ctx).Into(&live); err != nil {
		return nil, err
	}
	l.model = v1alpha1.RemediationRequest{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: v1alpha1.Kind},
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Labels: live.Labels},
		Spec:       live.Spec,
	}
	return l, nil
}

// object returns the request that the sink would create for a signal.
func (l *loop) object(s *gateway.Signal) *v1alpha1.RemediationRequest {
	s.ReceivedAt = time.Now()
	s.Normalize(gateway.Identity{ByOwner: true})
	rr := l.model.DeepCopy()
	rr.Name = gateway.RequestName(s.Fingerprint, 1)
	rr.Spec.SignalFingerprint, rr.Spec.AlertHash = s.Fingerprint.String(), s.Alert.String()
	rr.Spec.TargetResource.Name = s.Resource.Name
	rr.Spec.SignalLabels, rr.Spec.SignalAnnotations = s.Labels, s.Annotations
	rr.Spec.OriginalPayload = string(s.Payload)
	rr.Spec.ReceivedTime = metav1.NewMicroTime(s.ReceivedAt)
	return rr
}

func (l *loop) create(ctx context.Context, rr *v1alpha1.RemediationRequest) error {
	return l.client.Post().Namespace(rr.Namespace).Resource(v1alpha1.Resource).
		VersionedParams(&metav1.CreateOptions{FieldManager: "gateway"}, l.params).
		Body(rr).Do(ctx).Into(new(v1alpha1.RemediationRequest))
}
