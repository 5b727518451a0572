package main

import (
	"fmt"
	"io"
	"log/slog"

	"github.com/spf13/pflag"
	"k8s.io/klog/v2"

	"kubernaut.io/gateway/redact"
)

// logFormat is how log lines are written: json for machines, text for people.
type logFormat string

// MarshalText returns the format as it is typed.
func (f logFormat) MarshalText() ([]byte, error) { return []byte(f), nil }

// UnmarshalText takes the formats that there are.
func (f *logFormat) UnmarshalText(text []byte) error {
	switch *f = logFormat(text); *f {
	case "json", "text":
		return nil
	default:
		return fmt.Errorf("%q is not a log format; use json or text", text)
	}
}

// logging is what the flags say about logs.
type logging struct {
	level  slog.Level
	format logFormat
}

func (l *logging) register(flags *pflag.FlagSet, format logFormat) {
	flags.TextVar(&l.level, "log-level", slog.LevelInfo, "least `LEVEL` that is logged: debug, info, warn or error")
	flags.TextVar(&l.format, "log-format", format, "`FORMAT` of log lines on stderr: json, or text for people")
}

// logger returns the process's logger, and sends what the Kubernetes client
// logs there too: its own is one for the process and writes lines of its own
// format.
func (l *logging) logger(w io.Writer) *slog.Logger {
	options := &slog.HandlerOptions{Level: l.level, ReplaceAttr: redact.Attr}
	var handler slog.Handler = slog.NewJSONHandler(w, options)
	if l.format == "text" {
		handler = slog.NewTextHandler(w, options)
	}
	logger := slog.New(handler)
	klog.SetSlogLogger(logger.With("component", "client-go"))
	return logger
}
