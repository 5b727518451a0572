// Package doctor reads the configuration of those who send to the gateway,
// Alertmanager and Grafana, and says what in it would lose alerts, double them or
// hide them, with the line and the mend of each fault.
//
// It knows Alertmanager's files by what matters here: the tree of routes, the
// webhooks that post to the gateway, inhibition and times. Routes are followed as
// Alertmanager follows them, with alerts that are made up to match: what is said
// of a route was tried. What can't be decided that way is left unsaid.
package doctor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	gateway "kubernaut.io/gateway"
)

// Gateway is what of the gateway's configuration concerns its senders.
type Gateway struct {
	Sources []Source
	// TLS says that webhooks are taken over TLS alone.
	TLS bool
	// Cluster is the name of this cluster, empty for none.
	Cluster string
	// Namespace is where the gateway itself lives.
	Namespace      string
	RequestTimeout time.Duration
	MaxBodyBytes   int64
	Dedup          gateway.DedupRules
	Storms         gateway.StormRules
	Suppression    Suppression
	// Aliases map a sender's severities to the gateway's, in lower case.
	Aliases map[string]string
}

// Suppression is what the gateway suppresses in any case: nothing is lost where
// it doesn't come.
type Suppression struct{ Severities, Signals []string }

// Source is a sender that the gateway knows.
type Source struct {
	Name string
	// Format is alertmanager, grafana, kubernetes-event or another one.
	Format string
	// Auth are the kinds of credentials of which any one suffices, by their key in
	// the configuration: none, bearer, basic, hmac, mtls, kubernetes. Empty means
	// that there are none.
	Auth []string
	// Aliases are paths beside /webhook/NAME.
	Aliases []string
	// Sign is the name of an alert that has to come every SignInterval, or SignGrace
	// later, or else the source is taken for silent; empty for none.
	Sign                    string
	SignInterval, SignGrace time.Duration
}

// File is a file and its content.
type File struct {
	Name string
	Data []byte
}

// Alertmanager is one sender, or a cluster of several that share a file. At least
// one of its fields is set.
type Alertmanager struct {
	File *File
	// Running is what running ones say of themselves.
	Running []*Running
}

// Options say what is looked at.
type Options struct {
	Gateway       Gateway
	Alertmanagers []Alertmanager
	// Grafana are files of its provisioning: contact points, policies, templates.
	Grafana []File
	// Templates are files of notification templates that either of them loads.
	Templates []File
	// Receivers are the names of receivers and contact points that post to the
	// gateway, where their URLs don't tell.
	Receivers []string
	// ReadFile reads what url_file names; nil where that can't be looked at.
	ReadFile func(name string) ([]byte, error)
}

func (o *Options) validate() error {
	if len(o.Alertmanagers) == 0 && len(o.Grafana) == 0 {
		return errors.New("doctor: there is nothing to look at")
	}
	for i := range o.Alertmanagers {
		if a := &o.Alertmanagers[i]; a.File == nil && len(a.Running) == 0 {
			return fmt.Errorf("doctor: Alertmanager %d has neither a file nor an API", i)
		}
	}
	return nil
}

// Diagnose returns what is wrong. An error means that there was nothing to look
// at, or that ctx ended; a file that can't be read is a finding.
func Diagnose(ctx context.Context, o Options) (*Report, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	d := &diagnosis{Options: o, over: func() bool { return ctx.Err() != nil }, report: Report{Findings: []Finding{}, Looked: []string{}}}
	d.templates()
	var senders []*document
	for i := range o.Alertmanagers {
		if err := ctx.Err(); err != nil {
			return nil, context.Cause(ctx)
		}
		senders = append(senders, d.alertmanager(&o.Alertmanagers[i]))
	}
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	d.provisioned()
	d.several(senders)
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	d.report.sort()
	return &d.report, nil
}

// diagnosis is one under way.
type diagnosis struct {
	Options
	report Report
	// over says that there is no more time.
	over func() bool
	// defined are the texts of all named templates that are known.
	defined map[string]string
}

func (d *diagnosis) take(f *findings) { d.report.Findings = append(d.report.Findings, f.all...) }

func (d *diagnosis) looked(format string, args ...any) {
	d.report.Looked = append(d.report.Looked, fmt.Sprintf(format, args...))
}

// alertmanager looks at one, by its file, and by what is in force where that is
// known. It returns what was looked at first, nil where it could not be read.
func (d *diagnosis) alertmanager(a *Alertmanager) *document {
	var first *document
	if a.File != nil {
		first = d.readAlertmanager(a.File.Name, a.File.Data, nil)
		d.examine(first)
		d.take(&first.findings)
	}
	var before []*document
	if first != nil {
		before = append(before, first)
	}
	for _, running := range a.Running {
		inForce := d.readAlertmanager(running.URL, running.Config, first)
		d.examine(inForce)
		d.running(running, inForce, first)
		for _, doc := range before {
			inForce.all = slices.DeleteFunc(inForce.all, doc.told)
		}
		d.take(&inForce.findings)
		if before = append(before, inForce); a.File == nil && first == nil {
			first = inForce
		}
	}
	return first
}

// told reports whether a finding about what is in force is one about the file, or
// about another Alertmanager of the cluster, too.
func (doc *document) told(f Finding) bool { return doc.seen[[3]string{f.ID, f.Path}] }

// several says of Alertmanagers that post to the same source.
func (d *diagnosis) several(docs []*document) {
	first := make(map[string]*document)
	for _, doc := range docs {
		if doc == nil {
			continue
		}
		f := findings{file: doc.file}
		for _, w := range doc.ours() {
			before := first[w.source]
			switch {
			case w.source == "":
			case before == nil:
				first[w.source] = doc
			case before != doc:
				f.add("several-senders", w.at, fmt.Sprintf("source %q is posted to by %s too%s", w.source, before.file, doc.groupingBeside(before)),
					"# Make them one cluster, so that one of them delivers:\n# alertmanager --cluster.peer=HOST:9094\n"+
						"# or give each its own source in the gateway's configuration, if they watch different things:\n"+
						"sources:\n  - {name: "+w.source+", format: alertmanager}\n  - {name: "+w.source+"-2, format: alertmanager}\n")
			}
		}
		d.take(&f)
	}
}

// groupingBeside says where two group differently, so that their bodies differ.
func (doc *document) groupingBeside(other *document) string {
	mine, its := doc.groupings(), other.groupings()
	if slices.Equal(mine, its) {
		return ""
	}
	return fmt.Sprintf("; they group differently, by %s here and by %s there", strings.Join(mine, " and "), strings.Join(its, " and "))
}
