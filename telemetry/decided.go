package telemetry

import (
	"context"
	"log/slog"
	"unicode/utf8"

	gateway "kubernaut.io/gateway"
)

// maxLogValue bounds what a sender writes into our log, in bytes. Valid names
// are shorter.
const maxLogValue = 512

// Drained counts and logs what became of a signal that the spool kept. The
// series by source have counted it as spooled, those by namespace have not.
func (m *Metrics) Drained(s *gateway.Signal, d *gateway.Decision) {
	if c, ok := m.spool.drained[d.Outcome]; ok {
		c.Inc()
	}
	if d.Outcome == gateway.Failed {
		return // it will be tried again
	}
	m.countNamespace(s, d)
	if level := levelOf(d); m.logger.Enabled(context.Background(), level) {
		m.logger.LogAttrs(context.Background(), level, "spooled signal decided", attributes(s, d)...)
	}
}

// Decided counts and logs one decision. It is called for every signal, most of
// which are duplicates, and allocates nothing for those.
func (m *Metrics) Decided(s *gateway.Signal, d *gateway.Decision) {
	if c, ok := m.source(s.Source).outcomes[d.Outcome]; ok {
		c.Inc()
	}
	m.countReason(d)
	m.countNamespace(s, d)
	if level := levelOf(d); m.logger.Enabled(context.Background(), level) {
		m.logger.LogAttrs(context.Background(), level, "signal decided", attributes(s, d)...)
	}
}

func (m *Metrics) countReason(d *gateway.Decision) {
	c, ok := m.reasons[verdict{d.Outcome, d.Reason}]
	if !ok {
		c, ok = m.reasons[verdict{d.Outcome, otherReason}]
	}
	if ok {
		c.Inc()
	}
}

// countNamespace counts what the series by namespace are about, and gives no
// name to the namespace of a signal that was not taken in.
func (m *Metrics) countNamespace(s *gateway.Signal, d *gateway.Decision) {
	switch d.Outcome {
	case gateway.Created, gateway.Member, gateway.Duplicate:
	default:
		return
	}
	n := m.namespaces.of(s.Resource.EffectiveNamespace())
	n.rate.add(m.now(), d.Outcome == gateway.Duplicate)
	switch {
	case d.Outcome == gateway.Duplicate:
		n.deduplicated.Inc()
	case d.Outcome == gateway.Member && d.Reason == gateway.ReasonStormOpened:
		n.storms.Inc()
	}
}

// levelOf returns info for what makes an object, warn and error for what a
// person should look at, and debug for the many others.
func levelOf(d *gateway.Decision) slog.Level {
	switch {
	case d.Outcome == gateway.Failed:
		return slog.LevelError
	case d.Outcome == gateway.Rejected:
		return slog.LevelWarn
	case d.Outcome == gateway.Created, d.Outcome == gateway.Member && d.Opened:
		return slog.LevelInfo
	default:
		return slog.LevelDebug
	}
}

func attributes(s *gateway.Signal, d *gateway.Decision) []slog.Attr {
	attrs := []slog.Attr{
		slog.String("outcome", string(d.Outcome)),
		slog.String("reason", string(d.Reason)),
		slog.String("source", s.Source),
		slog.String("signal", clip(s.Name)),
		slog.String("namespace", clip(s.Resource.EffectiveNamespace())),
	}
	if !d.Fingerprint.IsZero() {
		attrs = append(attrs, slog.String("fingerprint", d.Fingerprint.String()))
	}
	if d.Request != "" {
		attrs = append(attrs, slog.String("request", d.Request))
	}
	if d.Detail != "" {
		attrs = append(attrs, slog.String("detail", clip(d.Detail)))
	}
	return attrs
}

// clip cuts s to maxLogValue, at a character's end.
func clip(s string) string {
	if len(s) <= maxLogValue {
		return s
	}
	end := maxLogValue
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + "…"
}
