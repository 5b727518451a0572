// Package page is what people see of the gateway: one page with what it has
// decided lately and how it is, and one for each decision with its reasons. It
// is rendered here, needs nothing from elsewhere, and changes nothing.
//
// What is decided comes to a Feed, which keeps the newest of it in memory. All
// else is asked for, once a second for all who look together, and not at all
// while nobody does. A browser that runs scripts is told by server-sent events
// what has changed; one that does not has the same page as of its loading.
package page

import (
	"context"
	"errors"
	"html/template"
	"log/slog"
	"net/http"
	"time"
)

const (
	// DefaultMaxViewers is how many browsers are told of changes at once. Each
	// holds one connection and some hundred kilobytes.
	DefaultMaxViewers = 32
	// tickInterval is how often those who look are told of what is new.
	tickInterval = time.Second
	// overviewInterval is how often it is counted what stands in the cluster.
	overviewInterval = 5 * time.Second
)

// Options is what a Page is made of. Limits that are zero take their defaults,
// Now is time.Now where it is nil, and all else is required.
type Options struct {
	// Feed has what was decided.
	Feed *Feed
	// Namespace is where the requests are; Instance names this replica, and
	// Version the build.
	Namespace, Instance, Version string
	// Sources are those that are configured, in their order.
	Sources []Source

	// State tells how the gateway is, and Overview what stands in the cluster.
	// Each is called by one goroutine at a time, and returns at once.
	State    func() State
	Overview func() Overview
	// Explain tells why something was decided: what key names, the newest first,
	// and before these the decision of Decision.Case, where that is not empty and
	// is still known. It returns none where nothing is known. It is called from
	// many goroutines at once.
	Explain func(ctx context.Context, key, decision string) ([]Explanation, error)

	// MaxViewers bounds how many are told of changes at once.
	MaxViewers int
	Logger     *slog.Logger
	Now        func() time.Time
}

func (o *Options) validate() error {
	switch {
	case o.Feed == nil:
		return errors.New("page: no feed")
	case o.State == nil || o.Overview == nil || o.Explain == nil:
		return errors.New("page: nobody to ask for the state, the overview or explanations")
	case o.Namespace == "" || o.Instance == "" || o.Version == "":
		return errors.New("page: no namespace, instance or version")
	case o.Logger == nil:
		return errors.New("page: no logger")
	case o.MaxViewers < 0:
		return errors.New("page: fewer than no viewers")
	default:
		return nil
	}
}

// Page serves the page. It is safe for concurrent use.
type Page struct {
	options   Options
	mux       *http.ServeMux
	assets    *assets
	templates *template.Template
	view      *view
	hub       *hub
	// boot tells this process and build from others: numbers of decisions mean
	// nothing in another one, and scripts may be older.
	boot string
}

// New returns a page.
func New(o Options) (*Page, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.MaxViewers == 0 {
		o.MaxViewers = DefaultMaxViewers
	}
	p := &Page{options: o, mux: http.NewServeMux()}
	var err error
	if p.assets, err = loadAssets(); err != nil {
		return nil, err
	}
	if p.templates, err = parseTemplates(p.assets); err != nil {
		return nil, err
	}
	p.boot = bootOf(o.Instance, p.assets)
	p.view = &view{options: &p.options, templates: p.templates}
	p.hub = newHub(o.MaxViewers, p.view.frame)
	p.mux.HandleFunc("GET /{$}", p.home)
	p.mux.HandleFunc("GET /decisions", p.decisions)
	p.mux.HandleFunc("GET /events", p.events)
	p.mux.HandleFunc("GET /explain/{key}", p.explain)
	p.mux.HandleFunc("GET /static/{name}", p.assets.serve)
	return p, nil
}

// Close ends what is told to those who look, and tells nobody any more: so that
// a server can shut down. It may be called more than once.
func (p *Page) Close() { p.hub.close() }

// policy is the page's Content-Security-Policy: what is served here and nothing
// else, no text of a page as a script or a style, in nobody's frame.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// ServeHTTP answers GET and HEAD.
func (p *Page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY") // for what does not know frame-ancestors
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	p.mux.ServeHTTP(w, r)
}
