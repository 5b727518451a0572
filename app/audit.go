package app

import (
	"context"
	"fmt"
	"io"

	"kubernaut.io/gateway"
	"kubernaut.io/gateway/audit"
	"kubernaut.io/gateway/config"
	"kubernaut.io/gateway/ingress"
	"kubernaut.io/gateway/telemetry"
)

// auditing is the audit log, where there is one. It is safe for concurrent use.
type auditing struct{ writer *audit.Writer }

// openAudit opens the audit log where the configuration asks for one.
func (a *App) openAudit(metrics *telemetry.Metrics) error {
	c := &a.options.Config.Audit
	if c.File == "" {
		return nil
	}
	key, err := auditKey(c)
	if err != nil {
		return err
	}
	out := a.options.AuditStream
	if out == nil {
		out = io.Discard
	}
	a.audit.writer, err = audit.New(audit.Options{
		File: c.File, Out: out, Key: key, Instance: a.instance, Version: a.options.Version,
		MaxBytes: c.MaxBytes, MaxFiles: c.MaxFiles, Observer: metrics.Audit(), Logger: a.options.Logger,
	})
	if err != nil {
		return fmt.Errorf("audit.file: %w", err)
	}
	return nil
}

func auditKey(c *config.Audit) ([]byte, error) {
	if c.KeyFile == "" {
		return nil, nil
	}
	key, err := audit.ReadKey(c.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("audit.keyFile: %w", err)
	}
	return key, nil
}

// exchanged returns what notes requests, nil where nothing is noted.
func (a *auditing) exchanged() func(ingress.Exchange) {
	if a.writer == nil {
		return nil
	}
	return func(x ingress.Exchange) {
		a.writer.Request(audit.Request{
			At: x.At, Took: x.Took, ID: x.RequestID, Source: x.Source, Principal: x.Principal, Client: x.Client,
			UserAgent: x.UserAgent, Method: x.Method, Path: x.Path, Status: x.Status, Reason: x.Refusal,
			Names: x.Names, Decisions: x.Decisions,
		})
	}
}

// kept notes what became of a signal that was kept. What failed is tried again.
func (a *auditing) kept(from string, s *gateway.Signal, d *gateway.Decision) {
	if a.writer != nil && d.Outcome != gateway.Failed {
		a.writer.Kept(from, s, d)
	}
}

// rules notes which rules are in force from now on.
func (a *auditing) rules(revision, policy string) {
	if a.writer != nil {
		a.writer.Rules(revision, policy)
	}
}

// refused notes that a newer version of something is not in force.
func (a *auditing) refused(what string) {
	if a.writer != nil {
		a.writer.Refused(what)
	}
}

// orderly observes what people order in the cluster.
type orderly struct {
	*telemetry.Metrics
	audit *auditing
}

// Reloaded implements kube.ReloadObserver.
func (o orderly) Reloaded(what string, err error) {
	o.Metrics.Reloaded(what, err)
	switch {
	case o.audit.writer == nil:
	case err != nil:
		o.audit.refused(what)
	default:
		o.audit.writer.Reloaded(what)
	}
}

// Switched implements kube.SwitchObserver.
func (o orderly) Switched(mode gateway.Mode) {
	o.Metrics.Switched(mode)
	if o.audit.writer != nil {
		o.audit.writer.Mode(string(mode))
	}
}

// begin writes the log until the function that it returns is called, which waits
// for what is noted by then.
func (a *auditing) begin() (end func() error) {
	if a.writer == nil {
		return func() error { return nil }
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.writer.Run(ctx) }()
	return func() error {
		cancel()
		return <-done
	}
}

func (a *auditing) close() error {
	if a.writer == nil {
		return nil
	}
	return a.writer.Close()
}
