package main

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"k8s.io/klog/v2"
)

// TestLogsHaveNoSecrets logs in both formats, as the Kubernetes client does too.
func TestLogsHaveNoSecrets(t *testing.T) {
	defer klog.ClearLogger()
	for _, format := range []logFormat{"json", "text"} {
		var out bytes.Buffer
		l := logging{level: slog.LevelDebug, format: format}
		logger := l.logger(&out)
		logger.Info("m", "authorization", "Bearer hidden", "path", "/x\u202e\x1b[31m", "error", errors.New("dial redis://u:hidden@host"))
		klog.InfoS("m", "headers", map[string]string{"Cookie": "hidden"})
		if text := out.String(); strings.Contains(text, "hidden") || strings.ContainsAny(text, "\x1b\u202e") || strings.Count(text, "[redacted]") != 3 {
			t.Errorf("as %s it is\n%s", format, text)
		}
	}
}
