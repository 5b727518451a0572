// Package audit tests the audit log of whole gateways on a real Kubernetes API:
// what no sender is told of is in it, too, and what people order.
package audit

import (
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kubernaut.io/gateway"
	"kubernaut.io/gateway/audit"
	"kubernaut.io/gateway/config"
	"kubernaut.io/gateway/kube"
	"kubernaut.io/gateway/spool"
	"kubernaut.io/gateway/test/cluster"
	"kubernaut.io/gateway/test/harness"
)

var shared *harness.Cluster

func TestMain(m *testing.M) {
	os.Exit(cluster.Main(m, func(c *cluster.Cluster) error {
		var err error
		shared, err = harness.NewCluster(c.Kubeconfig())
		return err
	}))
}

// deaf is an observer of a spool.
type deaf struct{}

func (deaf) Spooled(int, int64, time.Time, int) {}

// spooled leaves a signal in the spool of a gateway that is to come.
func spooled(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	s, err := spool.Open(spool.Options{
		Dir: dir, MaxBytes: 64 << 20, Observer: deaf{}, Logger: slog.New(slog.DiscardHandler),
		Drain: func(context.Context, *gateway.Signal) gateway.Decision { return gateway.Decision{} },
	})
	if err != nil {
		t.Fatal(err)
	}
	signal := gateway.Signal{
		Name: "SpooledBefore", Source: "prometheus", Severity: "critical", ReceivedAt: time.Now(), StartsAt: time.Now(),
		Resource: gateway.Resource{APIVersion: "v1", Kind: "Pod", Namespace: "shop", Name: "cart"},
	}
	signal.Normalize(config.Default().Identity())
	if err := s.Append(t.Context(), &signal); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

// line is what is looked at of a line.
type line struct{ Kind, From, Signal, Outcome, Reason, What string }

// audited returns the lines of a log that a gateway may be writing.
func audited(t *testing.T, file string) []line {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var all []line
	for one := range strings.Lines(string(text)) {
		var l line
		if strings.HasSuffix(one, "\n") {
			if err := json.Unmarshal([]byte(one), &l); err != nil {
				t.Fatalf("%s: %v", one, err)
			}
			all = append(all, l)
		}
	}
	return all
}

// TestWhatNoSenderIsToldOf has a signal in the spool, another that is parked while
// people have turned the gateway off, and both decided later.
func TestWhatNoSenderIsToldOf(t *testing.T) {
	t.Parallel()
	namespace, dir := shared.NewNamespace(t), t.TempDir()
	file := filepath.Join(dir, "audit.jsonl")
	maps := shared.Core.CoreV1().ConfigMaps(namespace)
	off := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: kube.SwitchConfigMap}, Data: map[string]string{"mode": "off"}}
	if _, err := maps.Create(t.Context(), off, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	kept := spooled(t)
	g := shared.StartIn(t, namespace, shared.REST, func(c *config.Config) { c.Audit.File, c.Spool.Dir = file, kept })
	if a := g.Post(t, "prometheus", harness.Webhook(harness.Firing("Parked", "shop", "cart"))); a.Signals[0].Outcome != "suppressed" {
		t.Fatalf("while it is off the signal is %+v", a.Signals)
	}
	if err := maps.Delete(t.Context(), kube.SwitchConfigMap, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	for what, has := range map[string]func(line) bool{
		"the order":               func(l line) bool { return l.Kind == audit.KindMode && l.What == "off" },
		"that it is taken back":   func(l line) bool { return l.Kind == audit.KindMode && l.What == "normal" },
		"the rules":               func(l line) bool { return l.Kind == audit.KindRules },
		"the signal in the spool": func(l line) bool { return l.From == audit.FromSpool && l.Signal == "SpooledBefore" && l.Outcome != "" },
		"that another was parked": func(l line) bool {
			return l.From == "" && l.Signal == "Parked" && l.Reason == string(gateway.ReasonOff)
		},
		"and what became of it":    func(l line) bool { return l.From == audit.FromParked && l.Signal == "Parked" && l.Outcome == "created" },
		"who asked, by its answer": func(l line) bool { return l.Kind == audit.KindRequest },
	} {
		harness.Eventually(t, what, func() bool {
			for _, l := range audited(t, file) {
				if has(l) {
					return true
				}
			}
			return false
		})
	}
	g.Stop(t)
	report, err := audit.Verify(audit.VerifyOptions{Paths: []string{dir}})
	if err != nil || !report.OK || !report.Logs[0].Closed {
		t.Errorf("verified is %+v, %v", report, err)
	}
}
