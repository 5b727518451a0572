package main

import (
	"context"
	"log/slog"
	"os"
	"sync/atomic"

	"github.com/spf13/pflag"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/client-go/rest"
	logsapi "k8s.io/component-base/logs/api/v1"
	"k8s.io/klog/v2"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app/options"
)

// logGate is what klog's lines pass on their way to stderr. Like klog itself it
// is one for the process.
var logGate gate

// gate writes to stderr while it is open and drops everything else.
type gate struct{ open atomic.Bool }

// Write implements io.Writer.
func (g *gate) Write(p []byte) (int, error) {
	if !g.open.Load() {
		return len(p), nil
	}
	return os.Stderr.Write(p)
}

// setUpLogging lets errors through while the server serves, and nothing before
// and after: every start and stop logs errors of parts that wait for each other,
// and what fails then is returned. The flags -v and --vmodule ask for all of it
// instead.
func setUpLogging(ctx context.Context, s *apiserver.ServerRunOptions, fs *pflag.FlagSet) error {
	// A start that is interrupted makes the API server's hooks fail fatally.
	klog.OsExit = func(code int) {
		if ctx.Err() != nil {
			code = 0
		}
		os.Exit(code)
	}
	rest.SetDefaultWarningHandler(rest.NoWarnings{})
	if fs.Changed("v") || fs.Changed("vmodule") {
		return logsapi.ValidateAndApply(s.Logs, utilfeature.DefaultFeatureGate)
	}
	klog.SetSlogLogger(slog.New(slog.NewTextHandler(&logGate, &slog.HandlerOptions{Level: slog.LevelError})))
	return nil
}
