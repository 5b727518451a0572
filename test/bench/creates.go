package bench

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/rest"

	"kubernaut.io/gateway"
	"kubernaut.io/gateway/adapter/alertmanager"
	"kubernaut.io/gateway/api/v1alpha1"
	"kubernaut.io/gateway/test/redistest"
)

// createTarget is what the gateway's rate of creates must be of that of a loop
// that does nothing else.
const createTarget = 0.9

// chunk is how many requests are created before it is another's turn.
const chunk = 150

// calm is how many episodes of a cluster are no storm: as many as may share a
// fault's name.
const calm = 5

// What creates requests.
const (
	byLoop     = "loop"     // a client-go loop
	byPipeline = "pipeline" // pipeline and sink, in the loop's process
	byRedis    = "redis"    // the same with the ledger in Redis, and storms counted
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
	t := o.table("in flight", "loop/s", "pipeline/s", "redis/s", "http/s", "pipeline of loop", "redis of loop", "http of loop",
		"calls to Redis", "CPU Redis")
	var missed []error
	for _, inFlight := range []int{8, 64} {
		rates, err := c.measure(ctx, inFlight)
		if err != nil {
			return err
		}
		cells := []any{inFlight}
		for _, by := range []string{byLoop, byPipeline, byRedis, byHTTP} {
			cells = append(cells, fmt.Sprintf("%.0f", median(rates[by])))
		}
		for _, by := range []string{byPipeline, byRedis, byHTTP} {
			of := ratio(rates[by], rates[byLoop])
			cells = append(cells, of)
			if by != byHTTP && of < createTarget {
				missed = append(missed, fmt.Errorf("%w: %s, %d in flight at %.2f of the loop, want %.2f", ErrTarget, by, inFlight, of, createTarget))
			}
		}
		t.row(append(cells, fmt.Sprintf("%.1f", c.asked.calls()), micros(c.asked.cpu()))...)
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
	alerts  alerts
	next    int // the first alert that has no request
	inside  *inside
	redis   *redistest.Server
	loop    *loop
	gateway *process
	// asked is what the requests of the last measurement cost Redis.
	asked asked
}

// asked is what a number of requests cost Redis.
type asked struct {
	redisStats
	requests int
}

// calls returns the calls that one request made.
func (a asked) calls() float64 { return float64(a.Calls) / float64(a.requests) }

// cpu returns the seconds that one request took of Redis' CPU.
func (a asked) cpu() float64 { return a.CPU.Seconds() / float64(a.requests) }

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
	if err := c.begin(ctx, reach, local, whole); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// begin starts all that creates, in namespaces for what is in this process and
// for the whole gateway.
func (c *creates) begin(ctx context.Context, reach *rest.Config, local, whole string) (err error) {
	if c.redis, err = redistest.Start(ctx, redistest.Options{}); err != nil {
		return err
	}
	if c.inside, err = runInside(ctx, reach, local, c.redis.Address()); err != nil {
		return err
	}
	if c.gateway, err = start(role{Kind: kindGateway, Kubeconfig: c.Kubeconfig, Namespace: whole}); err != nil {
		return err
	}
	return c.model(ctx, reach, local)
}

// close ends what was begun. What it has yet to count is of no use any more.
func (c *creates) close() {
	if c.gateway != nil {
		_ = c.gateway.stop()
	}
	if c.inside != nil {
		_ = c.inside.stop()
	}
	if c.redis != nil {
		_ = c.redis.Close()
	}
}

// model has the pipeline create one request, whose content the loop creates.
func (c *creates) model(ctx context.Context, reach *rest.Config, namespace string) error {
	signals := c.take(1)
	d := c.inside.pipeline.Process(ctx, signals)[0]
	if d.Outcome != gateway.Created {
		return fmt.Errorf("the first signal was %s (%s): %s", d.Outcome, d.Reason, d.Detail)
	}
	var err error
	c.loop, err = newLoop(ctx, reach, namespace, d.Request)
	return err
}

// take returns signals of alerts that have no request yet. They are of so many
// clusters that none of them has a storm.
func (c *creates) take(n int) []gateway.Signal {
	batch, err := alertmanager.Decode(c.alerts.body(c.next, n))
	if err != nil {
		panic(err) // the alerts are our own
	}
	for i := range batch.Signals {
		batch.Signals[i].Source = "prometheus"
		batch.Signals[i].Cluster = fmt.Sprintf("cluster-%d", (c.next+i)/calm)
	}
	c.next += n
	return batch.Signals
}

// ways returns what creates n requests, some in flight, and tells how many a
// second.
func (c *creates) ways() map[string]func(ctx context.Context, inFlight, n int) (perSecond float64, err error) {
	return map[string]func(context.Context, int, int) (float64, error){
		byLoop: c.byLoop, byHTTP: c.byHTTP,
		byPipeline: func(ctx context.Context, inFlight, n int) (float64, error) {
			return c.through(ctx, c.inside.pipeline, inFlight, n)
		},
		byRedis: func(ctx context.Context, inFlight, n int) (float64, error) {
			return c.through(ctx, c.inside.shared, inFlight, n)
		},
	}
}

// measure returns creates a second by who creates, one for each round.
func (c *creates) measure(ctx context.Context, inFlight int) (map[string][]float64, error) {
	rates := make(map[string][]float64)
	ways := c.ways()
	before, err := lookAtRedis(ctx, c.redis)
	if err != nil {
		return nil, err
	}
	c.asked = asked{}
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
				if by == byRedis {
					c.asked.requests += min(chunk, n-done)
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
	after, err := lookAtRedis(ctx, c.redis)
	if c.asked.redisStats = after.since(before); err == nil && c.asked.Calls == 0 {
		err = errNoRedis
	}
	return rates, err
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

func (c *creates) through(ctx context.Context, pipeline *gateway.Pipeline, inFlight, n int) (float64, error) {
	signals := c.take(n)
	return each(ctx, n, inFlight, func(ctx context.Context, i int) error {
		if d := pipeline.Process(ctx, signals[i:i+1])[0]; d.Outcome != gateway.Created {
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
	return load{addr: c.gateway.addr, connections: inFlight, want: http.StatusCreated, next: once(bodies)}.run(ctx)
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
	rr.Spec.Cluster, rr.Spec.TargetResource.Name = s.Cluster, s.Resource.Name
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
