// Command soak runs one gateway at full speed for minutes, as a process and with
// a real Redis, on a mix of duplicates, new alerts and ends, and prints what it
// has resident. It fails where that grows.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/clientcmd"

	"kubernaut.io/gateway/api/v1alpha1"
	"kubernaut.io/gateway/app"
	"kubernaut.io/gateway/kube"
	"kubernaut.io/gateway/test/cluster"
	"kubernaut.io/gateway/test/fleet"
	"kubernaut.io/gateway/test/harness"
	"kubernaut.io/gateway/test/redistest"
)

const (
	namespace = "soak"
	// known is how many alerts fire all the time, inBody how many a webhook has.
	// All of them have counts to write when the gateway stops.
	known, inBody = 500, 100
	// connections carry duplicates as fast as they are answered.
	connections = 4
	// perSecond is how many episodes begin, and end a second later: the API
	// server has a part of the machine for it.
	perSecond = 20
	// growth is how much more the gateway may have resident in the last minute
	// than in the first, on average: the collector's garbage comes and goes.
	growth = 1.15
)

func main() {
	minutes := flag.Int("minutes", 10, "how long")
	gateway := flag.String("gateway", "bin/gateway", "the gateway's executable")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *gateway, *minutes); err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}

// soak is a gateway under load.
type soak struct {
	replica *fleet.Replica
	url     string
	client  *http.Client
	// requests deletes what has ended, so that the API server's memory does not
	// grow where the gateway's should not.
	requests dynamic.ResourceInterface

	signals, opened atomic.Int64
}

func run(ctx context.Context, gateway string, minutes int) (err error) {
	c, err := cluster.New()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	redis, err := redistest.Start(ctx, redistest.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, redis.Close()) }()
	dir, err := os.MkdirTemp("", "soak")
	if err != nil {
		return err
	}
	defer func() {
		if err == nil {
			err = os.RemoveAll(dir)
		} else {
			fmt.Fprintln(os.Stderr, "the gateway's log is in", dir)
		}
	}()
	s, err := newSoak(ctx, c, redis, dir, gateway)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.replica.Terminate()) }()
	return s.run(ctx, minutes)
}

func newSoak(ctx context.Context, c *cluster.Cluster, redis *redistest.Server, dir, gateway string) (*soak, error) {
	config, err := clientcmd.BuildConfigFromFlags("", c.Kubeconfig())
	if err != nil {
		return nil, err
	}
	if err := app.Install(ctx, config, namespace); err != nil {
		return nil, err
	}
	// Unthrottled, else more begins than is deleted, and that is what grows.
	client, err := dynamic.NewForConfig(kube.Unthrottled(config))
	if err != nil {
		return nil, err
	}
	s := &soak{
		client:   &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: connections + perSecond}},
		requests: client.Resource(v1alpha1.GroupVersion.WithResource(v1alpha1.Resource)).Namespace(namespace),
	}
	const settings = `namespace: %s
redis: {addresses: [%q]}
spool: {dir: %q}
storm: {rate: {threshold: 0, window: 10s}, pattern: {threshold: 0, window: 10s}}
shutdownDelay: 0s
`
	s.replica, err = fleet.NewReplica(fleet.ReplicaOptions{
		Name: "gateway", Binary: gateway, Dir: dir, Host: fleet.Loopback(10),
		Config:     fmt.Sprintf(settings, namespace, redis.Address(), filepath.Join(dir, "spool")),
		Kubeconfig: c.Kubeconfig(), API: c.Address(),
	})
	if err != nil {
		return nil, err
	}
	s.url = s.replica.URL + "/webhook/prometheus"
	if err := s.replica.Start(); err != nil {
		return nil, err
	}
	return s, s.replica.AwaitReady()
}

// run lets load on for minutes, and prints and compares the gateway's memory.
func (s *soak) run(ctx context.Context, minutes int) error {
	start := time.Now()
	bodies, err := firing(start)
	if err != nil {
		return err
	}
	for _, body := range bodies {
		if err := s.post(ctx, body); err != nil {
			return err
		}
	}
	limited, stop := context.WithCancel(ctx)
	defer stop()
	load, inner := errgroup.WithContext(limited)
	for i := range connections {
		load.Go(func() error {
			for n := i; inner.Err() == nil; n++ {
				if err := s.post(inner, bodies[n%len(bodies)]); err != nil && inner.Err() == nil {
					return err
				}
			}
			return nil
		})
	}
	load.Go(func() error { return s.episodes(inner) })
	load.Go(func() error { return s.clean(inner) })
	first, last, err := s.watch(inner, minutes)
	stop()
	if err = errors.Join(err, load.Wait()); err != nil {
		return err
	}
	fmt.Printf("first minute %.1f MiB, last minute %.1f MiB, %.2f of it\n", first, last, last/first)
	if last > growth*first {
		return fmt.Errorf("memory grows: %.1f MiB in the first minute, %.1f MiB in the last", first, last)
	}
	return nil
}

// watch prints the gateway's memory each minute, and returns its averages over
// the first and the last in MiB.
func (s *soak) watch(ctx context.Context, minutes int) (first, last float64, err error) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	fmt.Println("| minute | resident, MiB | most | signals/s | new/s |\n| --- | --- | --- | --- | --- |")
	const seconds = 60
	for minute := range minutes {
		sum, most := 0.0, 0.0
		signals, opened := s.signals.Load(), s.opened.Load()
		for range seconds {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return 0, 0, context.Cause(ctx)
			}
			now, err := resident(s.replica.PID())
			if err != nil {
				return 0, 0, err
			}
			sum, most = sum+now, max(most, now)
		}
		last = sum / seconds
		if minute == 0 {
			first = last
		}
		fmt.Printf("| %d | %.1f | %.1f | %d | %d |\n", minute+1, last, most,
			(s.signals.Load()-signals)/seconds, (s.opened.Load()-opened)/seconds)
	}
	return first, last, nil
}

// resident returns what a process has resident, in MiB.
func resident(pid int) (float64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		var kB float64
		if n, _ := fmt.Sscanf(line, "VmRSS: %f kB", &kB); n == 1 {
			return kB / 1024, nil
		}
	}
	return 0, errors.New("no VmRSS")
}

// firing returns webhooks of the alerts that fire all the time.
func firing(start time.Time) ([][]byte, error) {
	bodies := make([][]byte, known/inBody)
	for i := range bodies {
		alerts := make([]harness.Alert, inBody)
		for j := range alerts {
			alerts[j] = harness.Firing("KubePodCrashLooping", fmt.Sprintf("shop-%d", i), fmt.Sprintf("pod-%d", j)).Since(start)
		}
		var err error
		if bodies[i], err = json.Marshal(harness.Webhook(alerts...)); err != nil {
			return nil, err
		}
	}
	return bodies, nil
}

// post posts a webhook, which has to be accepted.
func (s *soak) post(ctx context.Context, body []byte) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := s.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode/100 != 2 {
		return fmt.Errorf("answer %s: %.300s", response.Status, answer)
	}
	s.signals.Add(int64(bytes.Count(body, []byte(`"startsAt"`))))
	return nil
}

// episodes begins new ones and ends those of a second before, until ctx ends.
func (s *soak) episodes(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	var before []harness.Alert
	for n := 0; ; n++ {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
		now := make([]harness.Alert, perSecond)
		for i := range now {
			now[i] = harness.Firing("Fault", fmt.Sprintf("bank-%d", n), fmt.Sprintf("pod-%d", i))
		}
		alerts := append([]harness.Alert(nil), now...)
		for _, a := range before {
			alerts = append(alerts, a.Resolved())
		}
		body, err := json.Marshal(harness.Webhook(alerts...))
		if err != nil {
			return err
		}
		if err := s.post(ctx, body); err != nil && ctx.Err() == nil {
			return err
		}
		s.opened.Add(perSecond)
		before = now
	}
}

// clean deletes requests whose episodes have ended, until ctx ends.
func (s *soak) clean(ctx context.Context) error {
	tick := time.NewTicker(10 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
		list, err := s.requests.List(ctx, metav1.ListOptions{})
		if err != nil {
			return ignore(ctx, err)
		}
		for i := range list.Items {
			state, _, err := unstructured.NestedString(list.Items[i].Object, "status", "signalState")
			if err != nil || state != v1alpha1.StateResolved {
				continue
			}
			if err := s.requests.Delete(ctx, list.Items[i].GetName(), metav1.DeleteOptions{}); err != nil {
				return ignore(ctx, err)
			}
		}
	}
}

func ignore(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}
