package bench

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"kubernaut.io/gateway/test/redistest"
)

// duplicateConnections is how many connections post at once: more than any
// sender has, and enough to keep both cores of a small machine busy.
const duplicateConnections = 16

// slice is how long a server runs before it is another's turn. A run is made of
// many, so that other work on the machine falls on all servers.
const slice = 200 * time.Millisecond

const (
	// duplicateTarget is what the gateway's rate must be of that of the bare
	// server.
	duplicateTarget = 0.6
	// redisTarget is the same with Redis, where a body holds redisAlerts or more.
	redisTarget = 0.4
	redisAlerts = 10
	// recordTarget is what a gateway that records must do of what one does that
	// does not.
	recordTarget = 0.97
)

// Duplicates measures webhooks of which every alert has a request already,
// beside servers that only decode them.
func Duplicates(ctx context.Context, o Options) error {
	o.setDefaults()
	redis, err := redistest.Start(ctx, redistest.Options{})
	if err != nil {
		return err
	}
	defer func() { _ = redis.Close() }()
	servers := make(map[string]*process)
	for _, kind := range []string{kindGateway, kindBare, kindWalk, kindRedis, kindRecord, kindAudit} {
		r := role{Kind: kind, Kubeconfig: o.Kubeconfig, Namespace: "bench-duplicates-" + kind}
		if kind == kindRedis {
			r.Redis = redis.Address()
		}
		if kind == kindRecord {
			if r.Record, err = os.MkdirTemp("", "gateway-recording-"); err != nil {
				return err
			}
			defer os.RemoveAll(r.Record)
		}
		if kind == kindAudit {
			if r.Audit, err = os.MkdirTemp("", "gateway-audit-"); err != nil {
				return err
			}
			defer os.RemoveAll(r.Audit)
		}
		if _, err := o.install(ctx, r.Namespace); err != nil {
			return err
		}
		p, err := start(r)
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
	shared := o.table("alerts/body, with Redis", "bare/s", "gateway/s", "of bare", "of without Redis",
		"CPU gateway", "mallocs gateway", "calls to Redis/s", "CPU Redis")
	recorded := o.table("alerts/body, recorded", "without/s", "recorded/s", "of without", "CPU recorded", "mallocs recorded")
	audited := o.table("alerts/body, audited", "without/s", "audited/s", "of unaudited", "CPU audited", "mallocs audited", "lines dropped so far")
	var missed []error
	for _, n := range []int{1, 10, 100} {
		d := duplicates{Options: o, servers: servers, redis: redis, alerts: n, body: newAlerts().body(n*1000, n)}
		if err := d.profile(d.measure)(ctx); err != nil {
			return err
		}
		d.tell(t)
		d.tellRedis(shared)
		recorded.row(n, d.rate(kindGateway), d.rate(kindRecord), d.ratio(kindRecord, kindGateway), d.cpu(kindRecord), d.mallocs(kindRecord))
		dropped, err := servers[kindAudit].unaudited(ctx)
		if err != nil {
			return err
		}
		audited.row(n, d.rate(kindGateway), d.rate(kindAudit), d.ratio(kindAudit, kindGateway), d.cpu(kindAudit), d.mallocs(kindAudit), fmt.Sprintf("%.2f %%", 100*dropped))
		missed = append(missed, d.judge(kindRecord, kindGateway, recordTarget))
		missed = append(missed, d.judge(kindGateway, kindBare, duplicateTarget))
		if n >= redisAlerts {
			missed = append(missed, d.judge(kindRedis, kindBare, redisTarget))
		}
	}
	return errors.Join(append(missed, t.Flush(), shared.Flush(), recorded.Flush(), audited.Flush())...)
}

// duplicates measures one size of body.
type duplicates struct {
	Options
	servers map[string]*process
	redis   *redistest.Server
	alerts  int
	body    []byte
	runs    map[string][]run
	// asked is what the runs with Redis cost it.
	asked redisStats
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
		profiled := []string{kindGateway, kindRedis}
		for _, kind := range profiled {
			file := filepath.Join(d.Profiles, fmt.Sprintf("duplicates-%s-%d.prof", kind, d.alerts))
			if _, err := d.servers[kind].ask(askProfile + " " + file); err != nil {
				return err
			}
		}
		err := measure(ctx)
		for _, kind := range profiled {
			_, stopping := d.servers[kind].ask(askProfile)
			err = errors.Join(err, stopping)
		}
		return err
	}
}

func (d *duplicates) measure(ctx context.Context) error {
	d.runs = make(map[string][]run)
	for _, kind := range []string{kindGateway, kindRedis, kindRecord, kindAudit} {
		opening := load{addr: d.servers[kind].addr, connections: 1, next: times(1, d.body), want: http.StatusCreated}
		if _, err := opening.run(ctx); err != nil {
			return fmt.Errorf("%s: create the requests: %w", kind, err)
		}
	}
	if _, err := d.round(ctx); err != nil { // to warm up
		return err
	}
	before, err := lookAtRedis(ctx, d.redis)
	if err != nil {
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
	after, err := lookAtRedis(ctx, d.redis)
	if d.asked = after.since(before); err == nil && d.asked.Calls == 0 {
		err = errNoRedis
	}
	return err
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
		if n -= before[verb]; verb != byTheClock && n > 0 && (verb != http.MethodPatch || n > flushes) {
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

// ratio is the median of one server's rate to another's, round by round.
func (d *duplicates) ratio(kind, to string) float64 {
	var ratios []float64
	for i, r := range d.runs[kind] {
		ratios = append(ratios, r.rate()/d.runs[to][i].rate())
	}
	return median(ratios)
}

func (d *duplicates) judge(kind, to string, target float64) error {
	if ratio := d.ratio(kind, to); ratio < target {
		return fmt.Errorf("%w: %s, %d alerts a body at %.2f of %s, want %.2f", ErrTarget, kind, d.alerts, ratio, to, target)
	}
	return nil
}

func (d *duplicates) tell(t table) {
	t.row(d.alerts, len(d.body), d.rate(kindBare), d.rate(kindWalk), d.rate(kindGateway),
		d.ratio(kindGateway, kindBare), d.ratio(kindGateway, kindWalk), d.cpu(kindBare), d.cpu(kindGateway),
		d.mallocs(kindBare), d.mallocs(kindGateway),
		fmt.Sprintf("%.1f", d.of(kindGateway, func(r run) float64 { return r.writes / r.seconds })))
}

func (d *duplicates) tellRedis(t table) {
	var alerts, seconds float64
	for _, r := range d.runs[kindRedis] {
		alerts += r.bodies * float64(d.alerts)
		seconds += r.seconds
	}
	t.row(d.alerts, d.rate(kindBare), d.rate(kindRedis), d.ratio(kindRedis, kindBare), d.ratio(kindRedis, kindGateway),
		d.cpu(kindRedis), d.mallocs(kindRedis), fmt.Sprintf("%.0f", float64(d.asked.Calls)/seconds), micros(d.asked.CPU.Seconds()/alerts))
}

// micros writes seconds.
func micros(seconds float64) string { return fmt.Sprintf("%.1f µs", seconds*1e6) }

func (d *duplicates) rate(kind string) string { return fmt.Sprintf("%.0f", d.of(kind, run.rate)) }

func (d *duplicates) cpu(kind string) string {
	return micros(d.of(kind, func(r run) float64 { return r.cpu.Seconds() / r.bodies / float64(d.alerts) }))
}

func (d *duplicates) mallocs(kind string) string {
	return fmt.Sprintf("%.1f", d.of(kind, func(r run) float64 { return r.mallocs / r.bodies / float64(d.alerts) }))
}
