// Command observability writes the Prometheus rules and the Grafana dashboard of
// the gateway: rules.go, slo.go and alerts.go say what is recorded and when people
// are called, dashboard.go what they look at. The chart takes what is written.
//
// It is a module of its own, so that what Grafana needs never moves a version of
// the gateway's. Its tests have promtool prove each rule, and hold dashboard, rules
// and runbooks against each other.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"sigs.k8s.io/yaml"
)

// Files that are written, beside this one.
const (
	rulesFile     = "signal-gateway.yaml"
	dashboardFile = "signal-gateway.json"
)

// generated is the first line of the rules; JSON has no comments.
const generated = "# Written by \"make manifests\" from deploy/observability/*.go; change it there.\n"

func main() {
	dir := flag.String("dir", ".", "`DIR` that is written to")
	flag.Parse()
	if err := write(*dir); err != nil {
		fmt.Fprintln(os.Stderr, "observability:", err)
		os.Exit(1)
	}
}

// write writes all files.
func write(dir string) error {
	files, err := files()
	if err != nil {
		return err
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// files returns what is written, by its name.
func files() (map[string][]byte, error) {
	rules, err := yaml.Marshal(ruleFile{Groups: groups()})
	if err != nil {
		return nil, fmt.Errorf("rules: %w", err)
	}
	board, err := newDashboard()
	if err != nil {
		return nil, fmt.Errorf("dashboard: %w", err)
	}
	text, err := json.MarshalIndent(board, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("dashboard: %w", err)
	}
	return map[string][]byte{rulesFile: append([]byte(generated), rules...), dashboardFile: append(text, '\n')}, nil
}
