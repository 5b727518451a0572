package bench

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"time"
)

// duplicateConnections is how many connections post at once: more than any
// sender has, and enough to keep both cores of a small machine busy.
const duplicateConnections = 16

// slice is how long a server runs before it is another's turn. A run is made of
// many, so that other work on the machine falls on all servers.
const slice = 200 * time.Millisecond

// duplicateTarget is what the gateway's rate must be of that of the bare server.
const duplicateTarget = 0.6

// Duplicates measures webhooks of which every alert has a request already,
// beside servers that only decode them.
func Duplicates(ctx context.Context, o Options) error {
	o.setDefaults()
	if _, err := o.install(ctx, "bench-duplicates"); err != nil {
		return err
	}
	servers := make(map[string]*process)
	for _, kind := range []string{kindGateway, kindBare, kindWalk} {
		p, err := start(role{Kind: kind, Kubeconfig: o.Kubeconfig, Namespace: "bench-duplicates"})
		if err != nil {
			return err
		}
		defer func() { _ = p.stop() }()
		servers[kind] = p
	}
	fmt.Fprintf(o.Out, "duplicates over HTTP: %d connections, median of %d runs of %s each in turn\n", duplicateConnections, o.Rounds, o.Time)
	fmt.Fprintln(o.Out, "bare: a server that decodes into a struct; walk: one that calls the gateway's adapter; CPU and mallocs: of the server, for each alert")
	t := o.table("alerts/body", "bytes", "bare/s", "walk/s", "gateway/s", "of bare", "of walk",
		"CPU bare", "CPU gateway", "mallocs bare", "mallocs gateway", "status writes/s")
	var missed []error
	for _, n := range []int{1, 10, 100} {
		d := duplicates{Options: o, servers: servers, alerts: n, body: newAlerts().body(n*1000, n)}
		if err := d.profile(d.measure)(ctx); err != nil {
			return err
		}
		d.tell(t)
		if ratio := d.ratio(kindBare); ratio < duplicateTarget {
			missed = append(missed, fmt.Errorf("%w: %d alerts a body at %.2f of the bare server, want %.2f", ErrTarget, n, ratio, duplicateTarget))
		}
	}
	return errors.Join(append(missed, t.Flush())...)
}

// duplicates measures one size of body.
type duplicates struct {
	Options
	servers map[string]*process
	alerts  int
	body    []byte
	runs    map[string][]run
}

// run is what one server did in its slices of a round.
type run struct {
	bodies, seconds float64
	cpu             time.Duration
	mallocs, writes float64
}

// profile makes measure write a CPU profile of the gateway, where one is asked
// for.
func (d *duplicates) profile(measure func(context.Context) error) func(context.Context) error {
	if d.Profiles == "" {
		return measure
	}
	return func(ctx context.Context) error {
		gateway := d.servers[kindGateway]
		if _, err := gateway.ask(askProfile + " " + filepath.Join(d.Profiles, fmt.Sprintf("duplicates-%d.prof", d.alerts))); err != nil {
			return err
		}
		err := measure(ctx)
		_, stopping := gateway.ask(askProfile)
		return errors.Join(err, stopping)
	}
}

func (d *duplicates) measure(ctx context.Context) error {
	d.runs = make(map[string][]run)
	opening := load{addr: d.servers[kindGateway].addr, connections: 1, next: times(1, d.body), want: http.StatusCreated}
	if _, err := opening.run(ctx); err != nil {
		return fmt.Errorf("create the requests: %w", err)
	}
	if _, err := d.round(ctx); err != nil { // to warm up
		return err
	}
	for range d.Rounds {
		runs, err := d.round(ctx)
		if err != nil {
			return err
		}
		for kind, r := range runs {
			d.runs[kind] = append(d.runs[kind], *r)
		}
	}
	return nil
}

// round lets all servers run in turn until each had its time.
func (d *duplicates) round(ctx context.Context) (map[string]*run, error) {
	runs := make(map[string]*run)
	for range max(1, d.Time/slice) {
		for kind, server := range d.servers {
			if runs[kind] == nil {
				runs[kind] = new(run)
			}
			if err := d.slice(ctx, server, runs[kind]); err != nil {
				return nil, fmt.Errorf("%s: %w", kind, err)
			}
		}
	}
	return runs, nil
}

func (d *duplicates) slice(ctx context.Context, server *process, r *run) error {
	before, err := server.ask(askStats)
	if err != nil {
		return err
	}
	l := load{addr: server.addr, connections: duplicateConnections, next: until(slice, d.body), want: http.StatusAccepted}
	begin := time.Now()
	rate, err := l.run(ctx)
	if err != nil {
		return err
	}
	took := time.Since(begin).Seconds()
	after, err := server.ask(askStats)
	if err != nil {
		return err
	}
	r.bodies += rate * took
	r.seconds += took
	r.cpu += after.CPU - before.CPU
	r.mallocs += float64(after.Mallocs - before.Mallocs)
	r.writes += float64(after.Calls[http.MethodPatch] - before.Calls[http.MethodPatch])
	return onlyFlushes(before.Calls, after.Calls, took)
}

// onlyFlushes fails where anything but the flush of counts has called the
// Kubernetes API: those are at most dedup.flushRate a second, with a second's
// burst, however many duplicates came.
func onlyFlushes(before, after map[string]int64, seconds float64) error {
	flushes := int64(configured("any").Dedup.FlushRate * (seconds + 1))
	for verb, n := range after {
		// A watch is begun anew every few minutes, whatever comes.
		if n -= before[verb]; verb != "WATCH" && n > 0 && (verb != http.MethodPatch || n > flushes) {
			return fmt.Errorf("duplicates made %d %s calls to the Kubernetes API, of which at most %d PATCH are flushes", n, verb, flushes)
		}
	}
	return nil
}

// of returns the median over the rounds of a figure of a server's runs.
func (d *duplicates) of(kind string, figure func(run) float64) float64 {
	var all []float64
	for _, r := range d.runs[kind] {
		all = append(all, figure(r))
	}
	return median(all)
}

func (r run) rate() float64 { return r.bodies / r.seconds }

// ratio is the median of the gateway's rate to a server's, round by round.
func (d *duplicates) ratio(kind string) float64 {
	var ratios []float64
	for i, r := range d.runs[kindGateway] {
		ratios = append(ratios, r.rate()/d.runs[kind][i].rate())
	}
	return median(ratios)
}

func (d *duplicates) tell(t table) {
	perAlert := float64(d.alerts)
	rate := func(kind string) string { return fmt.Sprintf("%.0f", d.of(kind, run.rate)) }
	cpu := func(kind string) string {
		return fmt.Sprintf("%.1f µs", d.of(kind, func(r run) float64 { return r.cpu.Seconds() / r.bodies / perAlert * 1e6 }))
	}
	mallocs := func(kind string) string {
		return fmt.Sprintf("%.1f", d.of(kind, func(r run) float64 { return r.mallocs / r.bodies / perAlert }))
	}
	writes := d.of(kindGateway, func(r run) float64 { return r.writes / r.seconds })
	t.row(d.alerts, len(d.body), rate(kindBare), rate(kindWalk), rate(kindGateway), d.ratio(kindBare), d.ratio(kindWalk),
		cpu(kindBare), cpu(kindGateway), mallocs(kindBare), mallocs(kindGateway), fmt.Sprintf("%.1f", writes))
}
