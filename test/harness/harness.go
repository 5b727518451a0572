// Package harness runs gateways for tests: the whole app on real listeners and
// a real Kubernetes API, each with a namespace of its own for its requests, and
// posts to them as senders do.
package harness

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"kubernaut.io/gateway/api/v1alpha1"
	"kubernaut.io/gateway/app"
	"kubernaut.io/gateway/config"
)

// patience bounds every wait. Nothing that is waited for takes nearly as long
// on an idle machine.
const patience = 30 * time.Second

// Cluster is what the tests of one package share: clients of one API server.
type Cluster struct {
	REST    *rest.Config
	Core    kubernetes.Interface
	Dynamic dynamic.Interface
	next    atomic.Int64
}

// NewCluster returns clients for the cluster of a kubeconfig, in which it has
// installed what gateways need.
func NewCluster(kubeconfig string) (*Cluster, error) {
	c := new(Cluster)
	var err error
	if c.REST, err = clientcmd.BuildConfigFromFlags("", kubeconfig); err != nil {
		return nil, err
	}
	c.REST.QPS = -1
	if c.Core, err = kubernetes.NewForConfig(c.REST); err != nil {
		return nil, err
	}
	if c.Dynamic, err = dynamic.NewForConfig(c.REST); err != nil {
		return nil, err
	}
	return c, app.Install(context.Background(), c.REST, "default")
}

// Gateway is a running gateway.
type Gateway struct {
	app *app.App

	cluster *Cluster
	// Namespace is where its requests are.
	Namespace string
	// URL is of its webhooks' port, AdminURL of the operators'.
	URL, AdminURL string

	stop  context.CancelFunc
	done  chan error
	ready <-chan struct{}
}

// Option changes a gateway's configuration, from defaults with small flush
// intervals and addresses on loopback.
type Option func(*config.Config)

// Start runs a gateway in a new namespace until the test ends, and waits until
// it is ready.
func (c *Cluster) Start(tb testing.TB, options ...Option) *Gateway {
	tb.Helper()
	return c.StartIn(tb, c.NewNamespace(tb), c.REST, options...)
}

// NewNamespace returns a new namespace for a gateway's requests.
func (c *Cluster) NewNamespace(tb testing.TB) string {
	tb.Helper()
	namespace := fmt.Sprintf("gateway-%d", c.next.Add(1))
	if err := app.Install(tb.Context(), c.REST, namespace); err != nil {
		tb.Fatal(err)
	}
	return namespace
}

// StartIn runs a gateway in a namespace that is there already, as another
// replica or after a restart, reaching the API server as via says.
func (c *Cluster) StartIn(tb testing.TB, namespace string, via *rest.Config, options ...Option) *Gateway {
	tb.Helper()
	g := c.Launch(tb, namespace, via, options...)
	g.AwaitReady(tb)
	return g
}

// Launch is StartIn without the wait: the gateway serves, but may not be ready.
func (c *Cluster) Launch(tb testing.TB, namespace string, via *rest.Config, options ...Option) *Gateway {
	tb.Helper()
	conf := config.Default()
	conf.Namespace = namespace
	conf.Webhooks.Address, conf.Admin.Address = "127.0.0.1:0", "127.0.0.1:0"
	conf.Dedup.FlushInterval, conf.Dedup.FlushRate = 50*time.Millisecond, 1000
	conf.ShutdownDelay = 0
	// Most tests let more requests wait than anybody would automate at once.
	conf.Guard.Budget = config.Budget{}
	for _, change := range options {
		change(conf)
	}
	a, err := app.New(app.Options{Config: conf, REST: via, Logger: slog.New(slog.DiscardHandler), Version: "test"})
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	g := &Gateway{
		app: a, cluster: c, Namespace: namespace, stop: cancel, done: make(chan error, 1), ready: a.Ready(),
		URL: "http://" + a.WebhookAddr().String(), AdminURL: "http://" + a.AdminAddr().String(),
	}
	go func() { g.done <- a.Run(ctx) }()
	tb.Cleanup(func() { g.Stop(tb) })
	return g
}

// AwaitReady waits until the gateway accepts signals.
func (g *Gateway) AwaitReady(tb testing.TB) {
	tb.Helper()
	select {
	case <-g.ready:
	case err := <-g.done:
		tb.Fatalf("the gateway stopped before it was ready: %v", err)
	case <-time.After(patience):
		tb.Fatal("the gateway did not get ready")
	}
}

// Reload has the gateway take up what has changed in its files, as SIGHUP does.
func (g *Gateway) Reload() { g.app.Reload() }

// Readyz returns what /readyz says, whether ready or not.
func (g *Gateway) Readyz(tb testing.TB) string {
	tb.Helper()
	request, err := http.NewRequestWithContext(tb.Context(), http.MethodGet, g.AdminURL+"/readyz", nil)
	if err != nil {
		tb.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		tb.Fatal(err)
	}
	return string(text)
}

// Stop stops the gateway as SIGTERM would, and may be repeated.
func (g *Gateway) Stop(tb testing.TB) {
	tb.Helper()
	if g.stop == nil {
		return
	}
	g.stop()
	g.stop = nil
	if err := <-g.done; err != nil {
		tb.Errorf("the gateway stopped with: %v", err)
	}
}

// Answer is what a gateway answers to a webhook, a problem included.
type Answer struct {
	Status int         `json:"-"`
	Header http.Header `json:"-"`
	// Body is the answer as it came.
	Body []byte `json:"-"`

	RequestID string         `json:"requestId"`
	Signals   []Signal       `json:"signals"`
	Summary   map[string]int `json:"summary"`

	Title  string `json:"title"`
	Detail string `json:"detail"`
}

// Signal is what became of one signal.
type Signal struct {
	Index              int    `json:"index"`
	Fingerprint        string `json:"fingerprint"`
	Outcome            string `json:"outcome"`
	Reason             string `json:"reason"`
	RemediationRequest struct {
		Namespace string `json:"namespace"`
		Name      string `json:"name"`
	} `json:"remediationRequest"`
	Occurrences int64  `json:"occurrences"`
	Environment string `json:"environment"`
	Priority    string `json:"priority"`
	Path        string `json:"path"`
}

// Post posts a body to a source and returns the answer. A []byte is posted as
// it is, anything else as JSON.
func (g *Gateway) Post(tb testing.TB, source string, body any) Answer {
	tb.Helper()
	answer, err := g.TryPost(tb.Context(), source, body)
	if err != nil {
		tb.Fatal(err)
	}
	return answer
}

// TryPost is Post where no answer is no failure.
func (g *Gateway) TryPost(ctx context.Context, source string, body any) (Answer, error) {
	return PostTo(ctx, g.URL+"/webhook/"+source, body)
}

// PostTo posts a body to a URL and returns the answer.
func PostTo(ctx context.Context, url string, body any) (Answer, error) {
	raw, ok := body.([]byte)
	if !ok {
		var err error
		if raw, err = json.Marshal(body); err != nil {
			return Answer{}, err
		}
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(raw))
	if err != nil {
		return Answer{}, err
	}
	request.Header.Set("Content-Type", "application/json")
	return Do(request)
}

// Do sends a request that is none of the usual kind and returns the answer,
// which has to be JSON.
func Do(request *http.Request) (Answer, error) {
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return Answer{}, err
	}
	defer response.Body.Close()
	answer := Answer{Status: response.StatusCode, Header: response.Header}
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return answer, err
	}
	answer.Body = text
	if err := json.Unmarshal(text, &answer); err != nil {
		return answer, fmt.Errorf("answer %d is no JSON: %w: %s", answer.Status, err, text)
	}
	return answer, nil
}

// Alert is one alert of an Alertmanager webhook. The zero times are left to
// the reader, as Alertmanager does with endsAt.
type Alert struct {
	Status      string            `json:"status"`
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations,omitempty"`
	StartsAt    time.Time         `json:"startsAt"`
	EndsAt      time.Time         `json:"endsAt"`
}

// Firing returns a firing alert that began a minute ago, about a pod, with more
// labels given as names and values in turn.
func Firing(name, namespace, pod string, more ...string) Alert {
	labels := map[string]string{"alertname": name, "severity": "critical", "namespace": namespace, "pod": pod}
	for i := 0; i+1 < len(more); i += 2 {
		labels[more[i]] = more[i+1]
	}
	return Alert{Status: "firing", Labels: labels, StartsAt: time.Now().Add(-time.Minute)}
}

// Resolved returns the end of an alert, now.
func (a Alert) Resolved() Alert {
	a.Status, a.EndsAt = "resolved", time.Now()
	return a
}

// Since returns the alert with another start.
func (a Alert) Since(start time.Time) Alert {
	a.StartsAt = start
	return a
}

// Webhook returns an Alertmanager webhook's body.
func Webhook(alerts ...Alert) map[string]any {
	return map[string]any{
		"version": "4", "groupKey": "{}:{}", "status": "firing", "receiver": "gateway", "groupLabels": map[string]string{},
		"commonLabels": map[string]string{}, "commonAnnotations": map[string]string{}, "externalURL": "http://alertmanager.invalid",
		"truncatedAlerts": 0, "alerts": alerts,
	}
}

// Requests returns a client for the gateway's requests.
func (g *Gateway) Requests() dynamic.ResourceInterface {
	return g.cluster.Dynamic.Resource(v1alpha1.GroupVersion.WithResource(v1alpha1.Resource)).Namespace(g.Namespace)
}

// List returns all of the gateway's requests, as the API server has them.
func (g *Gateway) List(tb testing.TB) []v1alpha1.RemediationRequest {
	tb.Helper()
	list, err := g.Requests().List(context.Background(), metav1.ListOptions{})
	if err != nil {
		tb.Fatal(err)
	}
	requests := make([]v1alpha1.RemediationRequest, len(list.Items))
	for i := range list.Items {
		requests[i] = convert(tb, &list.Items[i])
	}
	return requests
}

// Get returns one request, as the API server has it.
func (g *Gateway) Get(tb testing.TB, name string) v1alpha1.RemediationRequest {
	tb.Helper()
	u, err := g.Requests().Get(context.Background(), name, metav1.GetOptions{})
	if err != nil {
		tb.Fatal(err)
	}
	return convert(tb, u)
}

func convert(tb testing.TB, u *unstructured.Unstructured) v1alpha1.RemediationRequest {
	tb.Helper()
	var rr v1alpha1.RemediationRequest
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, &rr); err != nil {
		tb.Fatal(err)
	}
	return rr
}

// PatchStatus writes a request's status as the remediation controller does,
// given as JSON.
func (g *Gateway) PatchStatus(tb testing.TB, name, status string) {
	tb.Helper()
	_, err := g.Requests().Patch(tb.Context(), name, types.MergePatchType, []byte(`{"status":`+status+`}`),
		metav1.PatchOptions{FieldManager: "remediation-controller"}, "status")
	if err != nil {
		tb.Fatal(err)
	}
}

// Eventually waits until ok, which it asks again and again.
func Eventually(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline.C:
			tb.Fatalf("never came: %s", what)
		}
	}
}
