package gateway_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	gateway "kubernaut.io/gateway"
	"kubernaut.io/gateway/config"
	"kubernaut.io/gateway/test/harness"
)

// overridesName is the ConfigMap by which operators give environments.
const overridesName = "kubernaut-environment-overrides"

// mustNamespace makes a namespace, or gives one that exists these labels, as
// names and values in turn.
func mustNamespace(t *testing.T, name string, labels ...string) string {
	t.Helper()
	set := make(map[string]string)
	for i := 0; i+1 < len(labels); i += 2 {
		set[labels[i]] = labels[i+1]
	}
	namespaces := shared.Core.CoreV1().Namespaces()
	_, err := namespaces.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: set}}, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		patch := mustJSON(map[string]any{"metadata": map[string]any{"labels": set}})
		_, err = namespaces.Patch(t.Context(), name, types.MergePatchType, patch, metav1.PatchOptions{})
	}
	if err != nil {
		t.Fatal(err)
	}
	return name
}

// place is where a signal was classified to be, in the answer and in the API.
type place struct{ environment, priority, path string }

// placeOf returns what the answer says of a created request, and fails the test
// where the object says something else.
func placeOf(t *testing.T, g *harness.Gateway, s harness.Signal) (place, gatewayDecision) {
	t.Helper()
	became(t, s, "created", "new episode")
	if t.Failed() {
		t.FailNow()
	}
	rr := g.Get(t, s.RemediationRequest.Name)
	spec, answer := place{rr.Spec.Environment, rr.Spec.Priority, rr.Spec.RemediationPath}, place{s.Environment, s.Priority, s.Path}
	if spec != answer {
		t.Errorf("the API has %+v, the answer said %+v", spec, answer)
	}
	if l := rr.Labels; l["kubernaut.io/environment"] != spec.environment || l["kubernaut.io/priority"] != spec.priority {
		t.Errorf("labels %v of %+v", l, spec)
	}
	d := rr.Spec.Decision
	return answer, gatewayDecision{d.EnvironmentFrom, d.PriorityFrom, d.PathFrom}
}

// gatewayDecision is what a request says about who answered.
type gatewayDecision struct{ environment, priority, path string }

// classify posts one alert as a new episode and returns its place.
func classify(t *testing.T, g *harness.Gateway, a harness.Alert) (place, gatewayDecision) {
	t.Helper()
	return placeOf(t, g, only(t, g.Post(t, "prometheus", harness.Webhook(a))))
}

// environments are the columns of the tables, by the label of a namespace. The
// namespace of the last one says nothing.
var environments = map[string]string{
	"production": "production", "staging": "staging", "development": "development", "qa": "qa", "unknown": "",
}

// mustEnvironments makes a namespace for each environment.
func mustEnvironments(t *testing.T, prefix string) {
	t.Helper()
	for environment, label := range environments {
		if label == "" {
			mustNamespace(t, prefix+environment)
		} else {
			mustNamespace(t, prefix+environment, "environment", label)
		}
	}
}

func TestPriorityTable(t *testing.T) {
	t.Parallel()
	g := shared.Start(t, calm)
	mustEnvironments(t, "priority-")
	rest := map[string]string{"production": "P2", "staging": "P2", "development": "P2", "qa": "P2", "unknown": "P2"}
	table := map[string]map[string]string{
		"critical":       {"production": "P0", "staging": "P1", "development": "P2", "qa": "P1", "unknown": "P1"},
		"warning":        {"production": "P1", "staging": "P2", "development": "P2", "qa": "P2", "unknown": "P2"},
		"info":           {"production": "P2", "staging": "P2", "development": "P2", "qa": "P3", "unknown": "P3"},
		"page":           rest,
		"error":          rest,
		"P1 (as it was)": rest,
		"unknown":        rest,
	}
	paths := map[string]string{"production": "conservative", "staging": "moderate", "development": "moderate", "qa": "conservative", "unknown": "manual"}
	for severity, row := range table {
		for environment, priority := range row {
			t.Run(severity+" in "+environment, func(t *testing.T) {
				a := harness.Firing("Priority"+severity, "priority-"+environment, "pod", "severity", strings.ToUpper(severity))
				if severity == "unknown" {
					delete(a.Labels, "severity")
				}
				got, from := classify(t, g, a)
				want := place{environment, priority, paths[environment]}
				if environment == "staging" && priority == "P2" || priority == "P3" {
					want.path = "manual"
				}
				if got != want {
					t.Errorf("%+v, want %+v", got, want)
				}
				if table := "table " + strings.ToLower(severity) + "/" + environment; from.priority != table {
					t.Errorf("priority from %q, want %q", from.priority, table)
				}
			})
		}
	}
}

// TestPathTable reaches each cell by severities that stand for one priority
// everywhere.
func TestPathTable(t *testing.T) {
	t.Parallel()
	g := shared.Start(t, calm, func(c *config.Config) {
		c.Matrix.Priority = make(map[config.Word]map[config.Word]gateway.Priority)
		for _, p := range gateway.Priorities {
			c.Matrix.Priority[config.Word("as-"+strings.ToLower(string(p)))] = map[config.Word]gateway.Priority{
				"production": p, "staging": p, "development": p, "other": p,
			}
		}
	})
	mustEnvironments(t, "path-")
	for environment, row := range map[string][4]string{
		"production":  {"conservative", "conservative", "conservative", "manual"},
		"staging":     {"moderate", "moderate", "manual", "manual"},
		"development": {"aggressive", "aggressive", "moderate", "manual"},
		"qa":          {"conservative", "conservative", "conservative", "manual"},
		"unknown":     {"manual", "manual", "manual", "manual"},
	} {
		for i, path := range row {
			priority := fmt.Sprintf("P%d", i)
			t.Run(environment+" at "+priority, func(t *testing.T) {
				got, _ := classify(t, g, harness.Firing("Path", "path-"+environment, "pod-"+strings.ToLower(priority), "severity", "as-"+priority))
				if want := (place{environment, priority, path}); got != want {
					t.Errorf("%+v, want %+v", got, want)
				}
			})
		}
	}
}

// mustOverrides writes the override ConfigMap of a gateway.
func mustOverrides(t *testing.T, g *harness.Gateway, data map[string]string) {
	t.Helper()
	maps := shared.Core.CoreV1().ConfigMaps(g.Namespace)
	m := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: overridesName}, Data: data}
	_, err := maps.Create(t.Context(), m, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		_, err = maps.Update(t.Context(), m, metav1.UpdateOptions{})
	}
	if err != nil {
		t.Fatal(err)
	}
}

// soon posts one new episode after another until one is in that environment.
func soon(t *testing.T, g *harness.Gateway, namespace, environment string) {
	t.Helper()
	harness.Eventually(t, namespace+" in "+environment, func() bool {
		got, _ := classify(t, g, harness.Firing("Soon", namespace, fresh("pod")))
		return got.environment == environment
	})
}

func TestEnvironmentSourcesInOrder(t *testing.T) {
	t.Parallel()
	g := shared.Start(t, calm, func(c *config.Config) {
		c.Environment.NamespaceLabels = []string{"environment", "example.com/tier"}
		c.Environment.Patterns = map[string]config.Word{"order-*": "test", "order-pat*": "staging"}
		c.Environment.Default = "sandbox"
	})
	mustOverrides(t, g, map[string]string{
		"order-label": "staging", "order-second": "staging", "order-invalid": "staging", "order-override": "staging",
		"order-bad-override": "not a label",
	})
	mustNamespace(t, "order-label", "environment", "live", "example.com/tier", "development")
	mustNamespace(t, "order-second", "example.com/tier", "development")
	mustNamespace(t, "order-invalid", "environment", "eu.production")
	for _, name := range []string{"order-override", "order-bad-override", "order-signal", "order-pattern", "order-other", "elsewhere"} {
		mustNamespace(t, name)
	}
	// The overrides may be younger than the gateway's look at them.
	soon(t, g, "order-override", "staging")

	const production = "production"
	for _, test := range []struct {
		namespace, environment, from string
		labels                       []string
	}{
		{"order-label", production, "namespace label environment", []string{"environment", "dev"}},
		{"order-second", "development", "namespace label example.com/tier", []string{"environment", production}},
		{"order-invalid", "staging", "override order-invalid", []string{"environment", production}},
		{"order-override", "staging", "override order-override", []string{"environment", production}},
		{"order-bad-override", production, "signal label environment", []string{"environment", "prod"}},
		{"order-signal", production, "signal label environment", []string{"environment", "Production", "env", "dev"}},
		{"order-signal", "qa", "signal label env", []string{"env", "qa"}},
		{"order-signal", "development", "signal label env", []string{"environment", "not a label", "env", "dev"}},
		{"order-pattern", "staging", "name pattern order-pat*", nil},
		{"order-other", "test", "name pattern order-*", []string{"environment", "no_label"}},
		{"elsewhere", "sandbox", "default", nil},
		{"no-such-namespace", "sandbox", "default", nil},
		{"order-no-such-namespace", "test", "name pattern order-*", nil},
	} {
		t.Run(test.from+" for "+test.namespace, func(t *testing.T) {
			got, from := classify(t, g, harness.Firing("Order", test.namespace, fresh("pod"), test.labels...))
			if got.environment != test.environment || from.environment != test.from {
				t.Errorf("%s from %q, want %s from %q", got.environment, from.environment, test.environment, test.from)
			}
		})
	}
	plain := shared.Start(t)
	if got, from := classify(t, plain, harness.Firing("Nothing", "elsewhere", "pod")); got.environment != "unknown" || from.environment != "nothing tells" {
		t.Errorf("%+v from %q", got, from.environment)
	}
}

func TestEnvironmentWords(t *testing.T) {
	t.Parallel()
	g := shared.Start(t, calm, func(c *config.Config) { c.Environment.Aliases = map[config.Word]config.Word{"prd": "production"} })
	for word, want := range map[string]place{
		"production": {"production", "P0", "conservative"}, "prod": {"production", "P0", "conservative"},
		"PROD": {"production", "P0", "conservative"}, "live": {"production", "P0", "conservative"},
		"prd":   {"production", "P0", "conservative"},
		"stage": {"staging", "P1", "moderate"}, "stg": {"staging", "P1", "moderate"}, "Staging": {"staging", "P1", "moderate"},
		"dev": {"development", "P2", "moderate"}, "devel": {"development", "P2", "moderate"},
		"nonprod": {"nonprod", "P1", "conservative"}, "pre-prod": {"pre-prod", "P1", "conservative"},
		"non-production": {"non-production", "P1", "conservative"}, "7": {"7", "P1", "conservative"},
		"product": {"product", "P1", "conservative"}, strings.Repeat("e", 63): {strings.Repeat("e", 63), "P1", "conservative"},
	} {
		namespace := mustNamespace(t, fresh("word"), "environment", word)
		if got, _ := classify(t, g, harness.Firing("Word", namespace, "pod")); got != want {
			t.Errorf("%q: %+v, want %+v", word, got, want)
		}
	}
}

func TestOverridesChangeLive(t *testing.T) {
	t.Parallel()
	g := shared.Start(t, calm)
	for _, name := range []string{"live-ab", "live-plain", "live-both"} {
		mustNamespace(t, name)
	}
	soon(t, g, "live-ab", "unknown")
	mustOverrides(t, g, map[string]string{
		"overrides.yaml": "- {namespace: 'live-a*', environment: staging}\n- {namespace: live-ab, environment: production}\n" +
			"- {namespace: live-both}\n- {namespace: 'live-[', environment: qa}\n- {namespace: live-both, environment: prod}\n",
		"live-plain": "development", "live-both": "development", "Not_A_Namespace": "qa",
	})
	// The first rule that matches holds, before plain names, and bad rules take
	// no others with them.
	soon(t, g, "live-ab", "staging")
	soon(t, g, "live-plain", "development")
	soon(t, g, "live-both", "production")
	mustOverrides(t, g, map[string]string{"overrides.yaml": "- {namespace: live-ab, environment: production}\n"})
	soon(t, g, "live-ab", "production")
	soon(t, g, "live-plain", "unknown")
	mustOverrides(t, g, map[string]string{"overrides.yaml": "no list", "live-plain": "qa"})
	soon(t, g, "live-plain", "qa")
	if err := shared.Core.CoreV1().ConfigMaps(g.Namespace).Delete(t.Context(), overridesName, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	soon(t, g, "live-plain", "unknown")
}

// TestNamespacesAsTheyAreNow: neither a watch that lags nor what was read before
// hides a namespace or its new labels.
func TestNamespacesAsTheyAreNow(t *testing.T) {
	t.Parallel()
	g := shared.Start(t, calm, func(c *config.Config) { c.Environment.CacheTTL = time.Hour })
	for range 20 {
		name := mustNamespace(t, fresh("just-born"), "environment", "production")
		if got, _ := classify(t, g, harness.Firing("JustBorn", name, "pod")); got.environment != "production" {
			t.Errorf("%s: %+v", name, got)
		}
	}
	unborn := fresh("unborn")
	if got, _ := classify(t, g, harness.Firing("Unborn", unborn, "pod")); got != (place{"unknown", "P1", "manual"}) {
		t.Errorf("a namespace that does not exist: %+v", got)
	}
	mustNamespace(t, unborn, "environment", "development")
	soon(t, g, unborn, "development")
	mustNamespace(t, unborn, "environment", "staging")
	soon(t, g, unborn, "staging")
}

// TestGuard signals trouble that the tables would leave to automation.
func TestGuard(t *testing.T) {
	t.Parallel()
	g := shared.Start(t, calm, func(c *config.Config) { c.Cluster = "home" })
	dev := []string{"environment", "development"}
	for _, name := range []string{"guard-app", "kube-system", "monitoring", g.Namespace} {
		mustNamespace(t, name, dev...)
	}
	soon(t, g, g.Namespace, "development")
	about := func(namespace, pod string, more ...string) harness.Alert {
		return harness.Firing("Guarded", namespace, pod, append(more, dev...)...)
	}
	node := about("", "", "node", "worker-1")
	delete(node.Labels, "namespace")
	delete(node.Labels, "pod")
	whole := about("kube-system", "")
	delete(whole.Labels, "pod")
	for name, test := range map[string]struct {
		alert         harness.Alert
		path, from    string
		environmentBy string
	}{
		"none":              {about("guard-app", "app"), "moderate", "table development/P2", "namespace label environment"},
		"own cluster":       {about("guard-app", "home", "cluster", "home"), "moderate", "table development/P2", "namespace label environment"},
		"kube-system":       {about("kube-system", "dns"), "manual", "guard: namespace kube-system", "namespace label environment"},
		"namespace":         {whole, "manual", "guard: namespace kube-system", "namespace label environment"},
		"monitoring":        {about("monitoring", "prometheus"), "manual", "guard: namespace monitoring", "namespace label environment"},
		"gateway's own":     {about(g.Namespace, "gateway"), "manual", "guard: namespace " + g.Namespace, "namespace label environment"},
		"node":              {node, "manual", "guard: Node", "signal label environment"},
		"control plane pod": {about("guard-app", "etcd-worker-1"), "manual", "guard: the pod belongs", "namespace label environment"},
		"foreign cluster":   {about("guard-app", "away", "cluster", "away"), "manual", "guard: the signal is of another cluster", "signal label environment"},
	} {
		t.Run(name, func(t *testing.T) {
			got, from := classify(t, g, test.alert)
			if want := (place{"development", "P2", test.path}); got != want || !strings.HasPrefix(from.path, test.from) {
				t.Errorf("%+v from %q, want %+v from %q", got, from.path, want, test.from)
			}
			if from.environment != test.environmentBy {
				t.Errorf("environment from %q, want %q", from.environment, test.environmentBy)
			}
		})
	}
	// The namespace of the same name here says nothing of the one there.
	abroad := harness.Firing("Abroad", "guard-app", "app", "cluster", "away")
	if got, from := classify(t, g, abroad); got != (place{"unknown", "P1", "manual"}) || from.environment != "nothing tells" {
		t.Errorf("%+v from %q", got, from.environment)
	}
	a := g.Post(t, "prometheus", harness.Webhook(about("guard-app", "app"), about("guard-app", "app", "cluster", "away")))
	answered(t, a, http.StatusCreated)
	if a.Signals[0].Fingerprint == a.Signals[1].Fingerprint {
		t.Error("two clusters share a fingerprint")
	}
}
