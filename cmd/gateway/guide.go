package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"

	"kubernaut.io/gateway/config"
)

// fixturePath is an alert to try with, in a checkout of the gateway.
const fixturePath = "test/fixtures/prometheus-alert.json"

// sampleAlert is what is posted where there is no checkout. It has no quote that
// a shell would end a word at.
const sampleAlert = `{"version":"4","status":"firing","alerts":[{"status":"firing",` +
	`"labels":{"alertname":"KubePodCrashLooping","severity":"warning","namespace":"demo","pod":"checkout-7d9c5b8f6d-x2x7k"},` +
	`"annotations":{"summary":"Pod is crash looping."},"startsAt":"2026-03-02T08:14:22Z"}]}`

// guide is what dev tells its user once the gateway is ready.
type guide struct {
	// webhooks and admin are URLs without a slash at the end.
	webhooks, admin string
	kubeconfig      string
	dataDir         string
	sources         []config.Source
	// fixture is a file with an alert, empty for none.
	fixture string
}

func (g guide) text() string {
	var b strings.Builder
	b.WriteString("\nThe gateway is ready.\n\n")
	for _, s := range g.sources {
		fmt.Fprintf(&b, "  webhook     %s/webhook/%s  (%s)\n", g.webhooks, s.Name, s.Format)
	}
	fmt.Fprintf(&b, "  page        %s/\n", g.admin)
	fmt.Fprintf(&b, "  kubeconfig  %s\n", g.kubeconfig)
	fmt.Fprintf(&b, "  data        %s\n", g.dataDir)
	b.WriteString("\nTry it in another terminal:\n\n")
	fmt.Fprintf(&b, "  export KUBECONFIG=%s\n", shellWord(g.kubeconfig))
	if line, ok := g.curl(); ok {
		fmt.Fprintf(&b, "  %s\n", line)
	}
	b.WriteString("  kubectl get rr -A\n\nCtrl-C stops everything; the data stays for the next start.\n\n")
	return b.String()
}

// curl returns a command that posts an alert to the first source that takes
// one. It works from any directory.
func (g guide) curl() (string, bool) {
	for _, s := range g.sources {
		if s.Format != config.FormatAlertmanager {
			continue
		}
		data := sampleAlert
		if g.fixture != "" {
			data = "@" + g.fixture
		}
		return fmt.Sprintf("curl -H 'Content-Type: application/json' --data %s %s/webhook/%s",
			shellWord(data), g.webhooks, s.Name), true
	}
	return "", false
}

// findFixture returns the absolute path of the fixture if this is run in a
// checkout, or by an executable in one; empty if not.
func findFixture() string {
	var starts []string
	if dir, err := os.Getwd(); err == nil {
		starts = append(starts, dir)
	}
	if own, err := os.Executable(); err == nil {
		starts = append(starts, filepath.Dir(own))
	}
	for _, dir := range starts {
		for ; ; dir = filepath.Dir(dir) {
			path := filepath.Join(dir, fixturePath)
			if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
				return path
			}
			if dir == filepath.Dir(dir) {
				break
			}
		}
	}
	return ""
}

// baseURL returns the URL of a server that listens on addr, for a client on this
// machine.
func baseURL(addr net.Addr, encryption config.TLS) string {
	scheme := "http://"
	if encryption.CertFile != "" {
		scheme = "https://"
	}
	host, port, err := net.SplitHostPort(addr.String())
	if err != nil {
		return scheme + addr.String()
	}
	if net.ParseIP(host).IsUnspecified() {
		host = "localhost"
	}
	return scheme + net.JoinHostPort(host, port)
}

// shellWord returns s as one word of a shell's command line.
func shellWord(s string) string {
	plain := func(r rune) bool {
		return strings.ContainsRune("@%+=:,./-_", r) || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
	}
	if s != "" && strings.TrimFunc(s, plain) == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
