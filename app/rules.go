package app

import (
	"context"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"kubernaut.io/gateway"
	"kubernaut.io/gateway/config"
	"kubernaut.io/gateway/filewatch"
	"kubernaut.io/gateway/policy"
	"kubernaut.io/gateway/recording"
	"kubernaut.io/gateway/silence"
	"kubernaut.io/gateway/telemetry"
)

// policyTestTimeout bounds a policy's own tests.
const policyTestTimeout = 30 * time.Second

// The names by which reloads are counted and told.
const (
	reloadConfig   = "config"
	reloadPolicy   = "policy"
	reloadSilences = "silences"
	reloadShadow   = "shadow"
)

// rules are those in force, and what keeps newer ones from being so.
type rules struct {
	// load reads the configuration anew; nil where it comes from no file.
	load    func() (*config.Config, error)
	metrics *telemetry.Metrics
	logger  *slog.Logger
	inForce atomic.Pointer[gateway.Rules]
	// silences takes those of the configuration.
	silences *silence.Set

	// loading lets one reload go on at a time.
	loading sync.Mutex
	// read is the configuration as last read, config what of it is in force.
	read, config *config.Config
	policy       *policy.Policy
	// policyBy is by which configuration the policy was loaded.
	policyBy config.Policy
	// refused is the policy that was refused last.
	refused refusal
	// started is by what is decided, as recordings have it.
	started atomic.Pointer[recording.Start]
	// shadow takes up the files of the shadow configuration, none for an empty path.
	shadow func(path string) error
	// restarted is told that the rules in force are others; nil for nobody.
	restarted func()
	// audit notes what comes into force and what does not.
	audit *auditing
	// life ends with the gateway, and with it what is being loaded.
	life context.Context

	mu sync.Mutex
	// wrong is why the newest version of something is not in force.
	wrong map[string]string
}

// refusedFor is for how long a policy that was refused is not tried again while
// its files stay as they are. Its tests may have run out of time on a machine
// that was busy just then.
const refusedFor = 5 * time.Minute

// refusal is a policy that was refused, and when. The zero refusal is none.
type refusal struct {
	by       config.Policy
	revision string
	at       time.Time
}

// stands reports whether a policy need not be tried again.
func (r *refusal) stands(by *config.Policy, revision string) bool {
	return !r.at.IsZero() && r.by == *by && r.revision == revision && time.Since(r.at) < refusedFor
}

// newRules returns the rules of the configuration, whose policy start loads.
func newRules(o *Options, metrics *telemetry.Metrics) *rules {
	r := &rules{
		load: o.Reload, metrics: metrics, logger: o.Logger.With("component", "rules"),
		read: o.Config, config: o.Config, wrong: make(map[string]string), life: context.Background(),
	}
	r.began()
	return r
}

// start loads the policy and puts the rules in force, before any signal is
// decided. A policy that is broken does not close the door: the tables decide,
// and every path is manual. What is loaded later is given up when ctx ends.
func (r *rules) start(ctx context.Context) {
	r.loading.Lock()
	defer r.loading.Unlock()
	r.life = ctx
	r.reloadPolicy()
	r.swap()
	r.reloadShadow()
}

// current returns the rules in force.
func (r *rules) current() *gateway.Rules { return r.inForce.Load() }

// reload takes up what has changed. What is wrong stays as it was.
func (r *rules) reload() {
	r.loading.Lock()
	defer r.loading.Unlock()
	configured, decided := r.reloadConfig(), r.reloadPolicy()
	if configured || decided {
		r.swap()
	}
	r.reloadShadow()
}

// reloadShadow takes up the shadow's files. It is in nobody's way: what is wrong
// with it is told, and signals are decided as ever.
func (r *rules) reloadShadow() {
	if err := r.shadow(r.config.Shadow.Config); err != nil {
		r.fail(reloadShadow, err)
		return
	}
	r.mend(reloadShadow, false)
}

// swap puts configuration and policy in force, as one.
func (r *rules) swap() {
	next := r.config.Rules()
	revision := "none"
	switch {
	case r.policy != nil:
		next.Policy, revision = r.policy, r.policy.Revision()
	case r.config.Policy.Path != "":
		next.Policy = r.withoutPolicy()
	}
	r.inForce.Store(&next)
	r.began()
	if r.restarted != nil {
		r.restarted()
	}
	r.metrics.PolicyInForce(revision)
	r.audit.rules(next.Revision, revision)
	r.logger.Info("rules in force", "revision", next.Revision, "policy", revision)
}

// began notes by what is decided from now on.
func (r *rules) began() {
	start := recording.Start{Config: r.config.Recorded(), Spool: r.config.Spool.Dir != ""}
	if r.policy != nil {
		start.Policy = r.policy.Texts()
	}
	r.started.Store(&start)
}

// recorded returns by what is decided now, for a recording.
func (r *rules) recorded() recording.Start { return *r.started.Load() }

// withoutPolicy returns what stands for a policy that is refused where there is no
// earlier version of it: what was in force before, which may be no policy, or at
// the start one that makes every path manual.
func (r *rules) withoutPolicy() gateway.Policy {
	if before := r.inForce.Load(); before != nil {
		return before.Policy
	}
	return brokenPolicy(r.problem(reloadPolicy))
}

// reloadConfig reads the configuration anew and reports whether there is news.
func (r *rules) reloadConfig() bool {
	if r.load == nil {
		return false
	}
	next, err := r.load()
	if err != nil {
		r.fail(reloadConfig, err)
		return false
	}
	if reflect.DeepEqual(next, r.read) {
		r.mend(reloadConfig, false)
		return false
	}
	before := r.config
	if err := r.silences.SetConfig(next.SilenceRules()); err != nil {
		r.fail(reloadConfig, err)
		return false
	}
	r.mend(reloadConfig, true)
	r.read, r.config = next, before.Adopt(next)
	if keys := before.RestartNeeded(next); len(keys) > 0 {
		r.logger.Warn("what changed in the configuration is in force after a restart only", "keys", keys)
	}
	return !reflect.DeepEqual(r.config, before)
}

// reloadPolicy reads the policy anew and reports whether there is news.
func (r *rules) reloadPolicy() bool {
	c := &r.config.Policy
	if c.Path == "" {
		news := r.policy != nil
		r.policy = nil
		r.mend(reloadPolicy, news)
		return news
	}
	before := r.policy
	if r.policyBy != *c {
		before = nil
	}
	revision, err := policy.Revision(c.Path)
	if err == nil && r.refused.stands(c, revision) {
		return false
	}
	next, err := loadPolicy(r.life, c, r.metrics, before)
	if err != nil {
		r.refused = refusal{by: *c, revision: revision, at: time.Now()}
		if r.life.Err() == nil {
			r.fail(reloadPolicy, err)
		}
		return false
	}
	r.refused = refusal{}
	news := next != r.policy
	r.policy, r.policyBy = next, *c
	r.mend(reloadPolicy, news)
	return news
}

// loadPolicy loads, compiles and tests a policy. It returns the one before where
// that has the same revision.
func loadPolicy(ctx context.Context, c *config.Policy, observer policy.Observer, before *policy.Policy) (*policy.Policy, error) {
	bundle, err := policy.Load(c.Path)
	if err != nil {
		return nil, err
	}
	if before != nil && before.Revision() == bundle.Revision() {
		return before, nil
	}
	ctx, cancel := context.WithTimeout(ctx, policyTestTimeout)
	defer cancel()
	if err := bundle.Test(ctx); err != nil {
		return nil, err
	}
	zone, err := time.LoadLocation(c.TimeZone)
	if err != nil {
		return nil, fmt.Errorf("policy.timeZone: %w", err)
	}
	return policy.New(bundle, policy.Options{Timeout: c.Timeout, TimeZone: zone, Observer: observer})
}

// CheckPolicy reports what is wrong with a configuration's policy, its own tests
// included, for who checks a file before it is in force.
func CheckPolicy(c *config.Config) error {
	if c.Policy.Path == "" {
		return nil
	}
	if _, err := loadPolicy(context.Background(), &c.Policy, nil, nil); err != nil {
		return fmt.Errorf("policy.path: %w", err)
	}
	return nil
}

// fail notes why the newest version of something is not in force. It is logged
// once: the files are looked at again and again.
func (r *rules) fail(what string, err error) {
	r.mu.Lock()
	news := r.wrong[what] != err.Error()
	r.wrong[what] = err.Error()
	r.mu.Unlock()
	if news {
		r.metrics.Reloaded(what, err)
		r.audit.refused(what)
		r.logger.Error("the newest version is refused, the last good one stays in force", "what", what, "error", err)
	}
}

// mend notes that the newest version of something is in force.
func (r *rules) mend(what string, news bool) {
	r.mu.Lock()
	_, was := r.wrong[what]
	delete(r.wrong, what)
	r.mu.Unlock()
	if news || was {
		r.metrics.Reloaded(what, nil)
	}
}

func (r *rules) problem(what string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.wrong[what]
}

// problems are what is not in force, for people.
func (r *rules) problems() []string {
	if r.current() == nil {
		return nil // not started yet
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []string
	_, broken := r.current().Policy.(brokenPolicy)
	for what, why := range r.wrong {
		if what == reloadPolicy && broken {
			all = append(all, "no policy could be loaded, so that every path is manual: "+why)
			continue
		}
		all = append(all, "the newest "+what+" is refused, the last good one is in force: "+why)
	}
	slices.Sort(all)
	return all
}

// brokenPolicy stands for a policy that could not be loaded at the start, which
// is why it could not.
type brokenPolicy string

// Answer implements gateway.Policy: nobody knows what the policy would have
// said, so a person decides.
func (b brokenPolicy) Answer(context.Context, *gateway.PolicyInput) gateway.PolicyAnswer {
	return gateway.PolicyAnswer{Path: gateway.Manual, PathRule: "that could not be loaded", Fault: bounded(string(b))}
}

// maxFault bounds the text of a fault on a request, in bytes.
const maxFault = 500

func bounded(s string) string { return strings.ToValidUTF8(s[:min(len(s), maxFault)], "") }

// Reload takes up what has changed in the configuration's file and the policy's,
// as a change of the files does by itself. What was refused is tried again.
func (a *App) Reload() {
	a.rules.loading.Lock()
	a.rules.refused = refusal{}
	a.rules.loading.Unlock()
	a.rules.reload()
	a.credentials.reload()
}

// shadowFiles are the files of the shadow configuration.
func shadowFiles(c *config.Config) []string {
	if c.Shadow.Config == "" {
		return nil
	}
	files := []string{c.Shadow.Config}
	if s, err := config.LoadShadow(c.Shadow.Config); err == nil {
		files = append(files, s.Policy.Path)
	}
	return files
}

// watchFiles takes up changes of files until ctx ends.
func (a *App) watchFiles(ctx context.Context) error {
	paths := make([]string, 0, 2)
	c := a.options.Config
	for _, path := range append(shadowFiles(c), a.options.ConfigFile, c.Policy.Path) {
		if path != "" {
			paths = append(paths, path)
		}
	}
	if len(paths) == 0 {
		return nil
	}
	w, err := filewatch.New(filewatch.Options{Paths: paths, Changed: a.rules.reload, Logger: a.options.Logger})
	if err != nil {
		return err
	}
	return w.Run(ctx)
}
