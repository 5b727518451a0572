package flood

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/dynamic"

	"kubernaut.io/gateway/api/v1alpha1"
)

const (
	// slower is how many times its quiet p99 the steady source's may be.
	slower = 2
	// growth is how much more the gateway may have resident in the last fifth of
	// the flood than in the second, on average: the first is that in which it gets
	// what it needs.
	growth = 1.15
	// pace is which part of the flood has to come, for it to be one.
	pace = .95
	// shownLost is how many losses are told.
	shownLost = 5
)

// both is what came of both sources sending.
type both struct {
	steady, noisy *sent
	// memory is what the gateway had resident, in MiB, by the second.
	memory []float64
	// probes are how long looks at the operators' port took.
	probes []time.Duration
}

// Report is what a flood has shown.
type Report struct {
	Length time.Duration
	// Requests is how many RemediationRequests there are, Lost what was accepted
	// and is not found, or not counted as often as it was accepted.
	Requests int
	Lost     []string

	quiet []time.Duration
	both  both
	// limited and others are what the gateway has counted as refused for the noisy
	// source's rate in all, and for any other limit; refused is what its senders
	// were told.
	limited, others, refused float64
}

// times is how many times its limit the noisy source has sent.
func (r *Report) times() float64 {
	return float64(r.both.noisy.requests.Load()*inBody) / r.both.noisy.lasted.Seconds() / limit
}

// Broken returns what was promised and not kept, whatever the machine.
func (r *Report) Broken() error {
	var broken []error
	if len(r.Lost) > 0 {
		broken = append(broken, fmt.Errorf("%d alerts were accepted and are not there: %s", len(r.Lost), strings.Join(r.Lost[:min(shownLost, len(r.Lost))], "; ")))
	}
	n := r.both.noisy
	// The burst is what comes in a second.
	if most := limit*(n.lasted.Seconds()+1) + 1; float64(n.signals) > most {
		broken = append(broken, fmt.Errorf("%d of the noisy source's signals were accepted, its limit are %.0f", n.signals, most))
	}
	if n.all() == 0 || n.refused.Load() == 0 {
		broken = append(broken, fmt.Errorf("of the noisy source %d bodies were accepted and %d refused", n.all(), n.refused.Load()))
	}
	if r.limited != r.refused || r.others != 0 {
		broken = append(broken, fmt.Errorf("%.0f requests are counted as beyond the rate and %.0f as beyond other limits, %.0f were refused", r.limited, r.others, r.refused))
	}
	return errors.Join(broken...)
}

// Missed returns which promises of timing were not kept. It means something after
// half a minute or more.
func (r *Report) Missed() error {
	var missed []error
	quiet, flood := percentile(r.quiet, .99), percentile(r.both.steady.took, .99)
	if flood > slower*quiet {
		missed = append(missed, fmt.Errorf("the steady source's p99 is %v, more than %d times its quiet %v", flood, slower, quiet))
	}
	if first, last := r.memory(); last > growth*first {
		missed = append(missed, fmt.Errorf("memory grows: %.1f MiB, then %.1f MiB", first, last))
	}
	if r.times() < pace*times {
		missed = append(missed, fmt.Errorf("the flood was %.1f times the limit, want %d: the machine is too busy for it", r.times(), times))
	}
	return errors.Join(missed...)
}

// memory returns averages of the second and the last fifth.
func (r *Report) memory() (first, last float64) {
	average := func(of []float64) (sum float64) {
		for _, n := range of {
			sum += n / float64(len(of))
		}
		return sum
	}
	m := r.both.memory
	fifth := len(m) / 5
	return average(m[fifth : 2*fifth]), average(m[len(m)-fifth:])
}

func (r *Report) print(out io.Writer) {
	n, s := r.both.noisy, r.both.steady
	first, last := r.memory()
	fmt.Fprintf(out, "| %v | |\n| --- | --- |\n", r.Length)
	for _, row := range []struct{ what, value string }{
		{"noisy: bodies sent, times the limit", fmt.Sprintf("%d, %.1f", n.requests.Load(), r.times())},
		{"noisy: accepted, refused", fmt.Sprintf("%d, %d", n.all(), n.refused.Load())},
		{"noisy: p50, p99", fmt.Sprintf("%v, %v", percentile(n.took, .5), percentile(n.took, .99))},
		{"steady: bodies sent, accepted", fmt.Sprintf("%d, %d", s.requests.Load(), s.all())},
		{"steady alone: p50, p99", fmt.Sprintf("%v, %v", percentile(r.quiet, .5), percentile(r.quiet, .99))},
		{"steady in the flood: p50, p99", fmt.Sprintf("%v, %v", percentile(s.took, .5), percentile(s.took, .99))},
		{"p99 in the flood, of alone", fmt.Sprintf("%.2f", float64(percentile(s.took, .99))/float64(percentile(r.quiet, .99)))},
		{"operators' port: looks, p99", fmt.Sprintf("%d, %v", len(r.both.probes), percentile(r.both.probes, .99))},
		{"resident, second and last fifth", fmt.Sprintf("%.1f MiB, %.1f MiB", first, last)},
		{"requests in the API, alerts lost", fmt.Sprintf("%d, %d", r.Requests, len(r.Lost))},
	} {
		fmt.Fprintf(out, "| %s | %s |\n", row.what, row.value)
	}
}

// memory notes what the gateway has resident, each second until ended is closed.
func (w *World) memory(ctx context.Context, ended <-chan struct{}) ([]float64, error) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	var all []float64
	for {
		select {
		case <-tick.C:
		case <-ended:
			return all, nil
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		now, err := resident(w.replica.PID())
		if err != nil {
			return nil, err
		}
		all = append(all, now)
	}
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

// counted reads what the gateway has counted of refusals.
func (w *World) counted(r *Report) error {
	w.mu.Lock()
	r.refused = float64(w.refused)
	w.mu.Unlock()
	for _, source := range []string{noisy, steady} {
		for _, limit := range []string{"rate", "client", "signals", "bytes"} {
			n, found, err := w.replica.Metric(fmt.Sprintf("gateway_webhooks_limited_total{limit=%q,source=%q}", limit, source))
			switch {
			case err != nil:
				return err
			case !found:
				return fmt.Errorf("no metric of %s and %s", source, limit)
			case source == noisy && limit == "rate":
				r.limited = n
			default:
				r.others += n
			}
		}
	}
	return nil
}

// reconcile compares what was accepted with what there is in the API.
func (w *World) reconcile(ctx context.Context) (requests int, lost []string, err error) {
	client, err := dynamic.NewForConfig(w.reach)
	if err != nil {
		return 0, nil, err
	}
	list, err := client.Resource(v1alpha1.GroupVersion.WithResource(v1alpha1.Resource)).Namespace(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return 0, nil, err
	}
	found := make(map[string]int64)
	for i := range list.Items {
		var rr v1alpha1.RemediationRequest
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(list.Items[i].Object, &rr); err != nil {
			return 0, nil, err
		}
		count := int64(1) // of which nothing is written
		if d := rr.Status.Deduplication; d != nil {
			count = d.OccurrenceCount
		}
		found[rr.Spec.TargetResource.Name] += count
	}
	for pod, accepted := range w.accepted {
		if found[pod] != accepted {
			lost = append(lost, fmt.Sprintf("%s: accepted %d times, counted %d times", pod, accepted, found[pod]))
		}
	}
	for pod := range found {
		if _, known := w.accepted[pod]; !known {
			lost = append(lost, pod+": never sent")
		}
	}
	slices.Sort(lost)
	return len(list.Items), lost, nil
}
