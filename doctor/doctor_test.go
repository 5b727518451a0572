package doctor_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"

	gateway "kubernaut.io/gateway"
	"kubernaut.io/gateway/doctor"
)

// ours is a gateway as it is without a configuration.
func ours() doctor.Gateway {
	return doctor.Gateway{
		Sources: []doctor.Source{
			{Name: "prometheus", Format: "alertmanager", Aliases: []string{"/api/v1/signals/prometheus"}, Sign: "Watchdog", SignInterval: 12 * time.Hour, SignGrace: 10 * time.Minute},
			{Name: "k8s-event", Format: "kubernetes-event"},
			{Name: "grafana", Format: "grafana"},
		},
		Namespace: "kubernaut-system", RequestTimeout: 10 * time.Second, MaxBodyBytes: 8 << 20,
		Dedup: gateway.DedupRules{
			Mode: gateway.ModeEpisode, Window: 5 * time.Minute, StaleAfter: 24 * time.Hour,
			StuckAfter: 2 * time.Hour, Cooldown: 15 * time.Minute,
		},
		Storms:      gateway.StormRules{Rate: gateway.Threshold{Count: 10, Window: time.Minute}, Quiet: 6 * time.Minute},
		Suppression: doctor.Suppression{Severities: []string{"none"}, Signals: []string{"Watchdog", "InfoInhibitor"}},
	}
}

// secured is one with TLS and credentials, in one of several clusters.
func secured() doctor.Gateway {
	g := ours()
	g.TLS, g.Cluster = true, "east"
	g.Sources[0].Auth = []string{"bearer"}
	g.Sources = append(g.Sources, doctor.Source{Name: "west", Format: "alertmanager", Auth: []string{"basic", "mtls"}})
	return g
}

// inCluster is one that knows its cluster.
func inCluster() doctor.Gateway {
	g := ours()
	g.Cluster = "east"
	return g
}

// good are configurations without a fault, by the gateway that they are for.
var good = map[string]func() doctor.Gateway{
	"minimal.yml":                ours,
	"kube-prometheus-stack.yaml": ours,
	"teams.yml":                  inCluster,
	"secured.yml":                secured,
	"grafana.yaml":               ours,
}

func mustRead(tb testing.TB, name string) string {
	tb.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "good", name))
	if err != nil {
		tb.Fatal(err)
	}
	return string(text)
}

// options look at a text under the name of its file.
func options(g doctor.Gateway, name, text string) doctor.Options {
	file := doctor.File{Name: name, Data: []byte(text)}
	o := doctor.Options{Gateway: g, ReadFile: os.ReadFile}
	if strings.HasPrefix(name, "grafana") {
		o.Grafana = []doctor.File{file}
	} else {
		o.Alertmanagers = []doctor.Alertmanager{{File: &file}}
	}
	return o
}

func mustDiagnose(tb testing.TB, o doctor.Options) *doctor.Report {
	tb.Helper()
	report, err := doctor.Diagnose(context.Background(), o)
	if err != nil {
		tb.Fatal(err)
	}
	return report
}

// places are findings as ID@LINE.
func places(report *doctor.Report) []string {
	var all []string
	for _, f := range report.Findings {
		all = append(all, fmt.Sprintf("%s@%d", f.ID, f.Line))
	}
	slices.Sort(all)
	return all
}

func shown(report *doctor.Report) string {
	var b strings.Builder
	_ = report.WriteText(&b) // a Builder takes everything
	return b.String()
}

func TestGoodConfigurations(t *testing.T) {
	t.Parallel()
	for name, gateway := range good {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			report := mustDiagnose(t, options(gateway(), name, mustRead(t, name)))
			if len(report.Findings) > 0 {
				t.Error(shown(report))
			}
			if len(report.Looked) == 0 || !strings.Contains(strings.Join(report.Looked, "\n"), "lead to the gateway") {
				t.Errorf("looked at %q", report.Looked)
			}
		})
	}
}

// lineOf returns the line that holds a text, the last of several.
func lineOf(tb testing.TB, text, what string) int {
	tb.Helper()
	i := strings.LastIndex(text, what)
	if i < 0 {
		tb.Fatalf("no %q in\n%s", what, text)
	}
	return 1 + strings.Count(text[:i], "\n")
}

// checkFinding says whether a finding tells all that it should.
func checkFinding(t *testing.T, f *doctor.Finding) {
	t.Helper()
	if f.What == "" || f.Why == "" || f.Severity == "" || f.File == "" {
		t.Errorf("%+v lacks something", f)
	}
	var mend any
	if err := yaml.Unmarshal([]byte(f.Mend), &mend); err != nil {
		t.Errorf("%s: the mend is no YAML: %v\n%s", f.ID, err, f.Mend)
	}
}
