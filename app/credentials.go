package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"k8s.io/client-go/rest"

	"kubernaut.io/gateway/config"
	"kubernaut.io/gateway/filewatch"
	"kubernaut.io/gateway/ingress"
	"kubernaut.io/gateway/ingress/auth"
	"kubernaut.io/gateway/kube"
	"kubernaut.io/gateway/telemetry"
)

// The names by which reloads of files of secrets are counted.
const (
	reloadCredentials  = "credentials"
	reloadCertificates = "certificates"
)

// The listeners, as telemetry calls them.
const (
	listenerWebhooks = "webhooks"
	listenerAdmin    = "admin"
)

// credentials are who may come in, what the gateway shows for itself, and the
// files that all of this is in.
type credentials struct {
	// sources are in the order of the configuration; admin is nil where everyone
	// may look.
	sources []ingress.Authenticator
	admin   ingress.Authenticator
	// certificates and authorities are by listener.
	certificates map[string]*auth.Certificate
	authorities  map[string]*auth.Authority

	files   []secretFile
	metrics *telemetry.Metrics
	logger  *slog.Logger

	rest *rest.Config
	// compares and reviews are shared by all sources.
	compares, reviews *auth.Slots

	mu sync.Mutex
	// wrong is why the newest version of a file is not in force, by its key.
	wrong map[string]string
}

// secretFile is what is read again when its files change.
type secretFile struct {
	auth.Reloader
	// key is where the configuration names it, what is as what it is counted.
	key, what string
}

// newCredentials reads all files, and names all that is wrong with them. Nothing
// is counted where metrics are nil.
func newCredentials(o *Options, metrics *telemetry.Metrics) (*credentials, error) {
	c := &credentials{
		certificates: make(map[string]*auth.Certificate), authorities: make(map[string]*auth.Authority),
		metrics: metrics, logger: o.Logger.With("component", "credentials"), rest: o.REST,
		compares: auth.NewSlots(auth.ComparesAtOnce), reviews: auth.NewSlots(auth.ReviewsAtOnce),
		wrong: make(map[string]string),
	}
	problems := []error{
		c.serveWith(listenerWebhooks, &o.Config.Webhooks.TLS),
		c.serveWith(listenerAdmin, &o.Config.Admin.TLS),
	}
	for i, s := range o.Config.Sources {
		who, err := c.authenticator(door{
			source: s.Name, key: fmt.Sprintf("sources[%d].auth", i), listener: listenerWebhooks, path: "/webhook/" + s.Name,
		}, s.Auth)
		problems = append(problems, err)
		c.sources = append(c.sources, who)
	}
	who, err := c.authenticator(door{source: telemetry.AdminSource, key: "admin.auth", listener: listenerAdmin}, o.Config.Admin.Auth)
	if len(o.Config.Admin.Auth) > 0 {
		c.admin = who
	}
	return c, errors.Join(append(problems, err)...)
}

// CheckCredentials reports what is wrong with the files of secrets that a
// configuration names, for who checks a file before it is in force.
func CheckCredentials(c *config.Config) error {
	_, err := newCredentials(&Options{Config: c, REST: &rest.Config{}, Logger: slog.New(slog.DiscardHandler)}, nil)
	return err
}

// serveWith reads what a listener is encrypted with.
func (c *credentials) serveWith(listener string, t *config.TLS) error {
	if t.CertFile == "" {
		return nil
	}
	var authority *auth.Authority
	if t.ClientCAFile != "" {
		var err error
		key := listener + ".tls.clientCAFile"
		if authority, err = auth.NewAuthority(t.ClientCAFile); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
		c.authorities[listener] = authority
		c.files = append(c.files, secretFile{authority, key, reloadCertificates})
	}
	certificate, err := auth.NewCertificate(t.CertFile, t.KeyFile, authority)
	if err != nil {
		return fmt.Errorf("%s.tls.certFile: %w", listener, err)
	}
	c.certificates[listener] = certificate
	c.files = append(c.files, secretFile{certificate, listener + ".tls.certFile", reloadCertificates})
	return nil
}

// door is where credentials are asked for: a source's, or the operators'.
type door struct {
	// source is what is counted, key where the configuration has it.
	source, key, listener string
	// path is what has to be allowed to be posted to; empty for what is asked for.
	path string
}

func (c *credentials) authenticator(at door, list []config.Auth) (ingress.Authenticator, error) {
	var methods []auth.Method
	var problems []error
	for i := range list {
		if list[i].None != nil {
			return ingress.None{}, nil
		}
		m, err := c.method(at, fmt.Sprintf("%s[%d].", at.key, i), &list[i])
		if err != nil {
			problems = append(problems, err)
			continue
		}
		methods = append(methods, m)
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	if len(methods) == 0 {
		return ingress.None{}, nil
	}
	c.warnInTheClear(at, methods)
	return auth.New(auth.Options{Source: at.source, Methods: methods, Observer: c})
}

// method makes one method of those that the configuration knows.
func (c *credentials) method(at door, key string, a *config.Auth) (auth.Method, error) {
	switch {
	case a.Bearer != nil:
		m, err := auth.NewBearer(a.Bearer.TokenFile)
		return m, c.keep(key+"bearer.tokenFile", m, err)
	case a.Basic != nil:
		m, err := auth.NewBasic(a.Basic.UsersFile, c.compares)
		return m, c.keep(key+"basic.usersFile", m, err)
	case a.HMAC != nil:
		m, err := auth.NewHMAC(auth.HMACOptions(*a.HMAC))
		return m, c.keep(key+"hmac.secretFile", m, err)
	case a.MTLS != nil:
		authority := c.authorities[at.listener]
		if authority == nil {
			return nil, fmt.Errorf("%smtls: there is no authority; %s.tls.clientCAFile could not be read", key, at.listener)
		}
		m, err := auth.NewMTLS(authority, a.MTLS.AllowedSANs)
		return m, named(key+"mtls", err)
	case a.Kubernetes != nil:
		reviewer, err := kube.NewReviewer(c.rest, a.Kubernetes.Audiences)
		if err != nil {
			return nil, named(key+"kubernetes", err)
		}
		m, err := auth.NewKubernetes(auth.KubernetesOptions{Reviewer: reviewer, Slots: c.reviews, Path: at.path})
		return m, named(key+"kubernetes", err)
	default:
		return nil, fmt.Errorf("%s: no kind of credentials is named", key)
	}
}

func named(key string, err error) error {
	if err != nil {
		err = fmt.Errorf("%s: %w", key, err)
	}
	return err
}

// keep has a file read again when it changes.
func (c *credentials) keep(key string, r auth.Reloader, err error) error {
	if err == nil {
		c.files = append(c.files, secretFile{r, key, reloadCredentials})
	}
	return named(key, err)
}

// warnInTheClear says that secrets cross the network as they are, where nothing
// but the surroundings can know better.
func (c *credentials) warnInTheClear(at door, methods []auth.Method) {
	secret := func(m auth.Method) bool {
		return slices.Contains([]auth.Kind{auth.KindBearer, auth.KindBasic, auth.KindKubernetes}, m.Kind())
	}
	if c.certificates[at.listener] == nil && slices.ContainsFunc(methods, secret) {
		c.logger.Warn("secrets are sent in the clear, unless a mesh or a proxy encrypts them", "credentials", at.key, "mend", at.listener+".tls")
	}
}

// AuthFailed implements auth.Observer.
func (c *credentials) AuthFailed(source, kind, reason string) {
	if c.metrics != nil {
		c.metrics.AuthFailed(source, kind, reason)
	}
}

// guard asks for credentials on the operators' port, if any are configured, else
// for one of its names.
func (c *credentials) guard(admin http.Handler, hosts []string, logger *slog.Logger) (http.Handler, error) {
	if c.admin == nil {
		return ingress.CheckHost(ingress.HostOptions{Handler: admin, Hosts: hosts, Open: []string{"/healthz", "/readyz", "/metrics"}, Logger: logger})
	}
	// Whoever looks whether a pod is alive has no credentials.
	return ingress.Guard(ingress.GuardOptions{Handler: admin, Authenticate: c.admin, Open: []string{"/healthz", "/readyz"}, Logger: logger})
}

// encryption returns how a listener is encrypted, nil for not at all.
func (c *credentials) encryption(listener string) *tls.Config {
	if certificate := c.certificates[listener]; certificate != nil {
		return certificate.Config()
	}
	return nil
}

// certificateExpiry returns when a listener's certificate expires, the zero time
// where it has none.
func (a *App) certificateExpiry(listener string) time.Time {
	if a.credentials == nil || a.credentials.certificates[listener] == nil {
		return time.Time{}
	}
	return a.credentials.certificates[listener].Expires()
}

// reload reads files again. What is wrong with one leaves what it held before in
// force, and is logged once.
func (c *credentials) reload() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, f := range c.files {
		changed, err := f.Reload()
		before, was := c.wrong[f.key]
		switch {
		case err != nil && before != err.Error():
			c.wrong[f.key] = err.Error()
			c.metrics.Reloaded(f.what, err)
			c.logger.Error("the newest version is refused, the last good one stays in force", "what", f.key, "error", err)
		case err == nil && (changed || was):
			delete(c.wrong, f.key)
			c.logger.Info("read anew", "what", f.key)
			if !c.anyWrong(f.what) {
				c.metrics.Reloaded(f.what, nil)
			}
		}
	}
}

// anyWrong reports whether another file that is counted as the same is refused.
func (c *credentials) anyWrong(what string) bool {
	return slices.ContainsFunc(c.files, func(f secretFile) bool { return f.what == what && c.wrong[f.key] != "" })
}

// problems are the files whose newest version is not in force, for everyone to
// see; what is wrong with them is for the log.
func (c *credentials) problems() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []string
	for key := range c.wrong {
		all = append(all, "the newest "+key+" is refused, the last good one is in force; the log says why")
	}
	slices.Sort(all)
	return all
}

// watch reads files again when they change, until ctx ends.
func (c *credentials) watch(ctx context.Context) error {
	var paths []string
	for _, f := range c.files {
		paths = append(paths, f.Files()...)
	}
	if len(paths) == 0 {
		return nil
	}
	w, err := filewatch.New(filewatch.Options{Paths: paths, Changed: c.reload, Logger: c.logger})
	if err != nil {
		return err
	}
	return w.Run(ctx)
}
