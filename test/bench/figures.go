package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	corev1 "k8s.io/client-go/applyconfigurations/core/v1"

	"kubernaut.io/gateway/app"
)

// Options says how to measure. Kubeconfig and Out are required; where a number
// is zero, the figures of docs/performance.md were made with its default.
type Options struct {
	// Kubeconfig is of a cluster for nothing but measuring.
	Kubeconfig string
	// Out is where tables go.
	Out io.Writer
	// Rounds is how often everything is run in turn, by default 5.
	Rounds int
	// Time is how long one run over HTTP takes, by default 2 s.
	Time time.Duration
	// Creates is how many requests one run creates, by default 1500.
	Creates int
	// Storm is how many alerts a storm has, by default 1000.
	Storm int
	// Requests is how many are in the cache, by default 10,000.
	Requests int
	// Settle is how long a process is left alone before its memory is looked at,
	// and how long duplicates come before it is looked at once more, by default
	// 10 s each: the runtime gives memory back in the background.
	Settle time.Duration
	// Profiles is a directory that profiles are written to; empty for none.
	Profiles string
}

func (o *Options) setDefaults() {
	if o.Rounds == 0 {
		o.Rounds = 5
	}
	if o.Time == 0 {
		o.Time = 2 * time.Second
	}
	if o.Creates == 0 {
		o.Creates = 1500
	}
	if o.Storm == 0 {
		o.Storm = 1000
	}
	if o.Requests == 0 {
		o.Requests = 10_000
	}
	if o.Settle == 0 {
		o.Settle = 10 * time.Second
	}
}

// ErrTarget means that a figure lies beyond what the gateway promises.
var ErrTarget = errors.New("beyond the target")

// install makes a namespace for requests, and that of the alerts.
func (o *Options) install(ctx context.Context, namespace string) (*rest.Config, error) {
	reach, err := clientcmd.BuildConfigFromFlags("", o.Kubeconfig)
	if err != nil {
		return nil, err
	}
	reach.QPS = -1
	if err := app.Install(ctx, reach, namespace); err != nil {
		return nil, err
	}
	core, err := kubernetes.NewForConfig(reach)
	if err != nil {
		return nil, err
	}
	labelled := corev1.Namespace(alertNamespace).WithLabels(map[string]string{"environment": "production"})
	_, err = core.CoreV1().Namespaces().Apply(ctx, labelled, metav1.ApplyOptions{FieldManager: "bench", Force: true})
	return reach, err
}

// table prints rows with aligned columns.
type table struct{ *tabwriter.Writer }

func (o *Options) table(head ...any) table {
	t := table{tabwriter.NewWriter(o.Out, 0, 0, 2, ' ', tabwriter.AlignRight)}
	t.row(head...)
	return t
}

func (t table) row(cells ...any) {
	for _, c := range cells {
		if f, ok := c.(float64); ok {
			c = fmt.Sprintf("%.2f", f)
		}
		fmt.Fprintf(t, "%v\t", c)
	}
	fmt.Fprintln(t)
}

func median(of []float64) float64 {
	if len(of) == 0 {
		return 0
	}
	of = slices.Sorted(slices.Values(of))
	return (of[(len(of)-1)/2] + of[len(of)/2]) / 2
}
