package bench

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"kubernaut.io/gateway/adapter/alertmanager"
	"kubernaut.io/gateway/app"
	"kubernaut.io/gateway/config"
	"kubernaut.io/gateway/kube"
)

// calls counts requests to the Kubernetes API.
type calls struct {
	mu sync.Mutex
	n  map[string]int64
}

func (c *calls) byVerb() map[string]int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.n)
}

// wrap makes all clients of a configuration count their requests.
func (c *calls) wrap(config *rest.Config) *rest.Config {
	config = rest.CopyConfig(config)
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(r *http.Request) (*http.Response, error) {
			c.mu.Lock()
			if c.n == nil {
				c.n = make(map[string]int64)
			}
			c.n[verbOf(r)]++
			c.mu.Unlock()
			return next.RoundTrip(r)
		})
	})
	return config
}

type roundTripper func(*http.Request) (*http.Response, error)

// RoundTrip implements http.RoundTripper.
func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// configured returns the gateway's default configuration on loopback. Storms
// are off, so that each alert has a request of its own, and so is the memory of
// the last minutes' requests that they need.
func configured(namespace string) *config.Config {
	conf := stormy(namespace)
	conf.Storm.Rate = config.Threshold{Window: time.Second}
	conf.Storm.Pattern = config.Threshold{Window: time.Second}
	return conf
}

// stormy returns the gateway's default configuration on loopback.
func stormy(namespace string) *config.Config {
	conf := config.Default()
	conf.Namespace = namespace
	conf.Webhooks.Address, conf.Admin.Address = "127.0.0.1:0", "127.0.0.1:0"
	conf.ShutdownDelay = 0
	return conf
}

// playGateway serves the whole gateway until ctx ends.
func playGateway(ctx context.Context, r role, c *calls) (at greeting, done <-chan error, err error) {
	reach, err := clientcmd.BuildConfigFromFlags("", r.Kubeconfig)
	if err != nil {
		return at, nil, err
	}
	conf := configured(r.Namespace)
	if r.Storms {
		conf = stormy(r.Namespace)
	}
	if r.Redis != "" {
		conf.Redis.Addresses = []string{r.Redis}
	}
	conf.Record.Dir = r.Record
	if r.Audit != "" {
		conf.Audit.File, conf.Audit.MaxFiles = filepath.Join(r.Audit, "audit.jsonl"), 2
	}
	a, err := app.New(app.Options{
		Config: conf, REST: c.wrap(reach), Logger: slog.New(slog.DiscardHandler), Version: "bench",
	})
	if err != nil {
		return at, nil, err
	}
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	select {
	case <-a.Ready():
		return greeting{a.WebhookAddr().String(), a.AdminAddr().String()}, ended, nil
	case err := <-ended:
		return at, nil, errors.Join(errors.New("the gateway ended before it was ready"), err)
	}
}

// webhook is the payload as a program declares it that only decodes.
type webhook struct {
	TruncatedAlerts uint64 `json:"truncatedAlerts"`
	Status          string `json:"status"`
	Alerts          []struct {
		Status      string            `json:"status"`
		Labels      map[string]string `json:"labels"`
		Annotations map[string]string `json:"annotations"`
		StartsAt    time.Time         `json:"startsAt"`
		EndsAt      time.Time         `json:"endsAt"`
	} `json:"alerts"`
}

// playBare serves webhooks that are only decoded and counted, until ctx ends.
func playBare(ctx context.Context, r role, _ *calls) (at greeting, done <-chan error, err error) {
	var count atomic.Int64
	decode := func(body []byte) (int, error) {
		var w webhook
		err := json.Unmarshal(body, &w)
		return len(w.Alerts), err
	}
	if r.Kind == kindWalk {
		decode = func(body []byte) (int, error) {
			batch, err := alertmanager.Decode(body)
			return len(batch.Signals), err
		}
	}
	server := &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		n, err := decode(body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		count.Add(int64(n))
		w.WriteHeader(http.StatusAccepted)
	})}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return at, nil, err
	}
	ended := make(chan error, 1)
	go func() {
		err := server.Serve(l)
		if errors.Is(err, http.ErrServerClosed) {
			err = nil
		}
		ended <- err
	}()
	context.AfterFunc(ctx, func() { _ = server.Close() })
	return greeting{Addr: l.Addr().String()}, ended, nil
}

// byTheClock are calls that are made whatever comes: watches are begun anew, the
// Lease of retention is renewed, and the people's orders are read.
const byTheClock = "BY THE CLOCK"

// verbOf returns the verb by which a request is counted.
func verbOf(r *http.Request) string {
	path := r.URL.Path
	switch {
	case r.URL.Query().Get("watch") != "", strings.Contains(path, "/leases"),
		strings.HasSuffix(path, "/configmaps/"+kube.SwitchConfigMap), strings.HasSuffix(path, "/namespaces"):
		return byTheClock
	default:
		return r.Method
	}
}
