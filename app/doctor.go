package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"reflect"
	"strings"
	"time"

	"kubernaut.io/gateway/config"
	"kubernaut.io/gateway/doctor"
)

// askTimeout bounds all questions to one running Alertmanager, which has what is
// asked for in memory.
const askTimeout = 30 * time.Second

// DoctorOptions say which senders are looked at.
type DoctorOptions struct {
	// Config is the gateway's.
	Config *config.Config
	// Alertmanagers are configuration files. URLs are running ones: of the only
	// file, or one of each file in their order. Without a file they are a cluster.
	Alertmanagers, URLs []string
	// Grafana and Templates are files of its provisioning, and of templates.
	Grafana, Templates []string
	// Receivers are the names of those that post to the gateway, where URLs don't
	// tell.
	Receivers []string
}

func (o *DoctorOptions) validate() error {
	if len(o.Alertmanagers)+len(o.URLs)+len(o.Grafana) == 0 {
		return errors.New("nothing to look at; give --alertmanager, --alertmanager-url or --grafana")
	}
	if files, urls := len(o.Alertmanagers), len(o.URLs); files > 1 && urls > 0 && urls != files {
		return fmt.Errorf("%d URLs for %d files of Alertmanager; give one --alertmanager-url for each --alertmanager, in their order", urls, files)
	}
	return nil
}

// ErrDoctorOptions says that another command line would do.
var ErrDoctorOptions = errors.New("doctor")

// RunDoctor says what in the configuration of senders would lose, hide or double
// alerts. An error says what could not be read or asked; ErrDoctorOptions is in it
// where the options are to blame.
func RunDoctor(ctx context.Context, o DoctorOptions) (*doctor.Report, error) {
	if err := o.validate(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDoctorOptions, err)
	}
	what := doctor.Options{Gateway: examined(o.Config), Receivers: o.Receivers, ReadFile: readSmall}
	var err error
	if what.Grafana, err = readAll(o.Grafana); err != nil {
		return nil, err
	}
	if what.Templates, err = readAll(o.Templates); err != nil {
		return nil, err
	}
	files, err := readAll(o.Alertmanagers)
	if err != nil {
		return nil, err
	}
	for i := range files {
		what.Alertmanagers = append(what.Alertmanagers, doctor.Alertmanager{File: &files[i]})
	}
	if len(files) == 0 && len(o.URLs) > 0 {
		what.Alertmanagers = make([]doctor.Alertmanager, 1)
	}
	for i, url := range o.URLs {
		running, err := ask(ctx, url)
		if err != nil {
			return nil, err
		}
		of := &what.Alertmanagers[i%len(what.Alertmanagers)]
		of.Running = append(of.Running, running)
	}
	return doctor.Diagnose(ctx, what)
}

func ask(ctx context.Context, url string) (*doctor.Running, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	return doctor.Ask(ctx, http.DefaultClient, url)
}

// ParseSeverities reads severities of findings.
func ParseSeverities(names []string) ([]doctor.Severity, error) {
	known := doctor.Severities()
	all := make([]doctor.Severity, 0, len(names))
next:
	for _, name := range names {
		for _, s := range known {
			if string(s) == name {
				all = append(all, s)
				continue next
			}
		}
		return nil, fmt.Errorf("%q is no severity; there are %v", name, known)
	}
	return all, nil
}

// examined is what of a configuration concerns senders.
func examined(c *config.Config) doctor.Gateway {
	g := doctor.Gateway{
		TLS: c.Webhooks.TLS.CertFile != "", Cluster: c.Cluster, Namespace: c.Namespace,
		RequestTimeout: c.Webhooks.RequestTimeout, MaxBodyBytes: c.Webhooks.MaxBodyBytes,
		Dedup: c.DedupRules(), Storms: c.StormRules(), Aliases: make(map[string]string, len(c.Severity.Aliases)),
	}
	for _, s := range c.Sources {
		source := doctor.Source{Name: s.Name, Format: string(s.Format), Auth: authKinds(s.Auth), Aliases: aliases[s.Name]}
		if signs, _, ok := s.Signs(); ok {
			source.Sign, source.SignInterval, source.SignGrace = signs.Alert, signs.Interval, signs.Grace
		}
		g.Sources = append(g.Sources, source)
	}
	for word, severity := range c.Severity.Aliases {
		g.Aliases[string(word)] = string(severity)
	}
	for _, word := range c.Suppress.Severities {
		g.Suppression.Severities = append(g.Suppression.Severities, string(word))
	}
	g.Suppression.Signals = c.Suppress.Signals
	return g
}

// authKinds are the keys under which credentials stand in the file: one is set of
// each.
func authKinds(auth []config.Auth) []string {
	var kinds []string
	for _, a := range auth {
		v := reflect.ValueOf(a)
		for i := range v.NumField() {
			if !v.Field(i).IsZero() {
				kind, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("yaml"), ",")
				kinds = append(kinds, kind)
			}
		}
	}
	return kinds
}

func readAll(names []string) ([]doctor.File, error) {
	files := make([]doctor.File, len(names))
	for i, name := range names {
		data, err := readSmall(name)
		if err != nil {
			return nil, err
		}
		files[i] = doctor.File{Name: name, Data: data}
	}
	return files, nil
}

// readSmall reads a file as far as the doctor looks at it, and one byte more.
func readSmall(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, doctor.MaxFileBytes+1))
}
