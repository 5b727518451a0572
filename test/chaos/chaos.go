// Package chaos runs gateways as they are deployed, with real neighbours, and
// does to all of them what happens in clusters: processes are killed and frozen,
// networks cut, Redis is emptied, disks fill up, people delete requests, and
// controllers finish, fail or never come. Afterwards everything is healed, and
// all that the gateways have answered for is looked for in the Kubernetes API.
package chaos

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"kubernaut.io/gateway/app"
	"kubernaut.io/gateway/test/cluster"
	"kubernaut.io/gateway/test/redistest"
)

// Options says what is played. All fields are required.
type Options struct {
	// Gateway is the executable, Dir where the rounds' files go. Those of rounds
	// that went well are removed.
	Gateway, Dir string
	Rounds       int
	// Seed is that of the first round; each further one has the next. It decides
	// which faults happen, and when as far as the machine's load lets it.
	Seed uint64
	// Length is how long faults happen in a round.
	Length time.Duration
	Out    io.Writer
}

// ErrBroken means that a promise was broken, or that a round could not be played
// to its end. What is wrong has been printed.
var ErrBroken = errors.New("chaos: a round went wrong")

// Chaos is what all rounds share.
type Chaos struct {
	options Options
	api     *cluster.Cluster
	redis   *redistest.Server
	rest    *rest.Config
	client  dynamic.Interface
}

// Run plays rounds and prints what was found, in each and in total. It goes on
// after a round that went wrong, and returns ErrBroken at the end.
func Run(ctx context.Context, o Options) (err error) {
	c := &Chaos{options: o}
	if c.api, err = cluster.New(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.api.Close()) }()
	if c.redis, err = redistest.Start(ctx, redistest.Options{}); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.redis.Close()) }()
	if c.rest, err = clientcmd.BuildConfigFromFlags("", c.api.Kubeconfig()); err != nil {
		return err
	}
	c.rest.QPS = -1
	if c.client, err = dynamic.NewForConfig(c.rest); err != nil {
		return err
	}
	return c.rounds(ctx)
}

func (c *Chaos) install(ctx context.Context, namespace string) error {
	return app.Install(ctx, c.rest, namespace)
}

func (c *Chaos) rounds(ctx context.Context) error {
	table := newTable(c.options.Out)
	var total round
	total.faults = make(map[string]int)
	broken := 0
	for i := range c.options.Rounds {
		r, err := c.play(ctx, uint64(i))
		if ctx.Err() != nil {
			return ctx.Err()
		}
		table.row(r)
		total.add(r)
		if err != nil || r.findings.Broken() {
			broken++
			fmt.Fprintf(c.options.Out, "round %d, seed %d, its files are in %s\n%s", r.number, r.seed, c.dir(r), r.findings.Summary())
			if err != nil {
				fmt.Fprintln(c.options.Out, err)
			}
			continue
		}
		if err := errors.Join(os.RemoveAll(c.dir(r)), c.forget(ctx, r)); err != nil {
			return err
		}
	}
	table.total(&total, broken)
	if broken > 0 {
		return fmt.Errorf("%w: %d of %d", ErrBroken, broken, c.options.Rounds)
	}
	return nil
}

func (c *Chaos) dir(r *round) string {
	return filepath.Join(c.options.Dir, fmt.Sprintf("chaos-%d", r.seed))
}

// forget deletes a round's requests, so that the API server's memory bears many
// rounds.
func (c *Chaos) forget(ctx context.Context, r *round) error {
	requests, err := c.namespace(ctx, fmt.Sprintf("chaos-%d", r.seed))
	if err != nil {
		return err
	}
	return requests.DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{})
}

// add adds another round's numbers.
func (r *round) add(o *round) {
	r.findings.Add(&o.findings)
	for kind, n := range o.faults {
		r.faults[kind] += n
	}
	r.deleted += o.deleted
	r.took += o.took
}

// table prints a row a round.
type table struct{ out io.Writer }

// columns are the table's, as wide as what stands in them.
var columns = []string{
	"round", "seed", "controller", "faults", "deleted", "sent", "acknowledged", "firing", "found", "removed", "late",
	"spooled", "ends", "requests", "storms", "withdrawn", "overcounted", "doubled", "lost", "wrong", "seconds",
}

func newTable(out io.Writer) *table {
	fmt.Fprintf(out, "| %s |\n|%s\n", strings.Join(columns, " | "), strings.Repeat(" --- |", len(columns)))
	return &table{out}
}

func (t *table) row(r *round) {
	t.print(strconv.FormatUint(r.number+1, 10), strconv.FormatUint(r.seed, 10), string(r.habit), r)
}

func (t *table) print(number, seed, habit string, r *round) {
	faults := 0
	for _, n := range r.faults {
		faults += n
	}
	f := &r.findings
	fmt.Fprintf(t.out, "| %s | %s | %s |", number, seed, habit)
	for _, n := range []int{
		faults, int(r.deleted), f.Sent, f.Acknowledged, f.Firing, f.Found, f.Removed, f.Late, f.Spooled, f.Ends, f.Requests,
		f.Storms, f.Withdrawn, f.Overcounted, len(f.Doubled), len(f.Lost), len(f.Wrong), int(r.took.Seconds()),
	} {
		fmt.Fprintf(t.out, " %d |", n)
	}
	fmt.Fprintln(t.out)
}

// total prints the sum of all rounds, and the faults by kind.
func (t *table) total(sum *round, broken int) {
	t.print("total", "", "", sum)
	fmt.Fprintln(t.out)
	w := tabwriter.NewWriter(t.out, 0, 0, 2, ' ', 0)
	for _, kind := range kinds(sum.faults) {
		fmt.Fprintf(w, "%s\t%d\n", kind, sum.faults[kind])
	}
	fmt.Fprintf(w, "a person deletes a request\t%d\n", sum.deleted)
	_ = w.Flush() // to out, which no one can do anything about
	fmt.Fprintf(t.out, "rounds that went wrong: %d\n", broken)
}
