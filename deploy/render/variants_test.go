package main

import (
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v4/pkg/action"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// variants are values that between them turn everything on and off, and how many
// pods they render, with the test's.
var variants = map[string]struct {
	values string
	pods   int
	has    []string // kind/name
	lacks  []string
}{
	"default": {
		values: "{}", pods: 2, has: []string{"StatefulSet/gateway", "NetworkPolicy/gateway", "CustomResourceDefinition/remediationrequests.remediation.kubernaut.io"},
		lacks: []string{"HorizontalPodAutoscaler/gateway", "PodDisruptionBudget/gateway", "Namespace/", "ServiceMonitor/", "Certificate/"},
	},
	"small": {
		values: `
spool: {enabled: false}
networkPolicy: {enabled: false}
crds: {install: false}
approvalPolicy: {install: false}
senders: []
config: {sources: [{name: prometheus, format: alertmanager, auth: [{none: {}}]}]}
`, pods: 2, has: []string{"Deployment/gateway"},
		lacks: []string{"StatefulSet/", "NetworkPolicy/", "CustomResourceDefinition/", "ValidatingAdmissionPolicy/", "Service/gateway-pods"},
	},
	"scaled": {
		values: `
redis: {valkey: {enabled: true}}
autoscaling: {enabled: true, webhooksInFlight: 50}
monitoring: {serviceMonitor: {enabled: true, labels: {release: prometheus}}, rules: {enabled: true}, dashboards: {enabled: true}}
tls: {certificate: {create: true, issuerRef: {kind: ClusterIssuer, name: internal}}}
rbac: {owners: {enabled: true, kinds: [{apiGroup: argoproj.io, kind: Rollout, resource: rollouts}]}}
config: {events: {canary: 30s}, sources: [{name: events, format: kubernetes-event, auth: [{kubernetes: {}}], watch: {enabled: true}}]}
senders: [{source: events, namespace: kube-events, serviceAccount: exporter}]
`, pods: 3, has: []string{
			"HorizontalPodAutoscaler/gateway", "PodDisruptionBudget/gateway", "Deployment/gateway-valkey", "StatefulSet/gateway",
			"ServiceMonitor/gateway", "Certificate/gateway", "NetworkPolicy/gateway-valkey",
		},
	},
	"replicas": {
		values: `
replicas: 3
spool: {enabled: false}
redis: {addresses: [redis.data:6380], username: gateway, passwordSecret: {name: redis}, tls: {enabled: true, caSecret: redis-ca}}
credentials: {secretName: senders}
tls: {secretName: gateway-tls}
config:
  sources: [{name: prometheus, format: alertmanager, auth: [{bearer: {tokenFile: /etc/gateway/credentials/prometheus}}]}]
policy:
  priority.rego: |
    package gateway
    priority := "P0" if input.signal.severity == "page"
image: {repository: registry.invalid/gateway, digest: "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", pullSecrets: [{name: registry}]}
networkPolicy:
  redis: {peers: [{ipBlock: {cidr: 10.1.0.0/16}}], ports: [6380]}
  kubernetesAPI: {peers: [{ipBlock: {cidr: 10.0.0.1/32}}], ports: [6443]}
  extraEgress: [{ports: [{port: 9093}]}]
  senders: []
nodeSelector: {disk: ssd}
tolerations: [{key: a, operator: Exists}]
affinity: {nodeAffinity: {}}
topologySpreadConstraints: [{maxSkew: 2, topologyKey: rack, whenUnsatisfiable: DoNotSchedule, labelSelector: {matchLabels: {team: a}}}]
podAnnotations: {a: b}
podLabels: {team: a}
service: {type: LoadBalancer, annotations: {a: b}}
serviceAccount: {annotations: {a: b}}
`, pods: 2, has: []string{"Deployment/gateway", "PodDisruptionBudget/gateway", "ConfigMap/gateway-policy"}, lacks: []string{"StatefulSet/", "HorizontalPodAutoscaler/"},
	},
	"valkey with a password": {
		values: `
replicas: 2
redis: {valkey: {enabled: true}, passwordSecret: {name: valkey}}
podSecurityContext: {runAsUser: null, runAsGroup: null, fsGroup: null}
config: {admin: {tls: {certFile: /etc/gateway/credentials/tls.crt, keyFile: /etc/gateway/credentials/tls.key}}}
credentials: {secretName: admin}
waitArgs: [--admin, "https://gateway-service:9090", --ca-file, /etc/gateway/credentials/ca.crt]
`, pods: 3, has: []string{"StatefulSet/gateway"},
	},
}

// TestVariants: what the chart renders is taken by the API server field by field,
// its pods are admitted where Pod Security is restricted, and the gateway starts
// with its configuration and rights.
func TestVariants(t *testing.T) {
	for name, v := range variants {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			namespace := "variant-" + strings.ReplaceAll(name, " ", "-")
			shared.mustNamespace(t, namespace)
			objects := mustRender(t, namespace, v.values)
			shared.mustApply(t, objects)
			if pods := shared.mustAdmitPods(t, objects); pods != v.pods {
				t.Errorf("%d pods, want %d", pods, v.pods)
			}
			for _, o := range v.has {
				if !has(objects, o) {
					t.Errorf("%s is not rendered", o)
				}
			}
			for _, o := range v.lacks {
				if has(objects, o) {
					t.Errorf("%s is rendered", o)
				}
			}
			g := shared.start(t, objects, namespace)
			g.awaitReady(t)
			g.stop(t)
		})
	}
}

// has reports whether there is a KIND/NAME; an empty name stands for any.
func has(objects []*unstructured.Unstructured, what string) bool {
	kind, name, _ := strings.Cut(what, "/")
	return slices.ContainsFunc(objects, func(o *unstructured.Unstructured) bool {
		return o.GetKind() == kind && (name == "" || o.GetName() == name)
	})
}

// mustRender returns what the chart makes of values.
func mustRender(tb testing.TB, namespace, text string) []*unstructured.Unstructured {
	tb.Helper()
	v, err := parseValues(text)
	must(tb, err)
	files, err := render(filepath.Join(root, chartDir), namespace, v)
	must(tb, err)
	return mustParse(tb, files)
}

// TestRefused: values that would break a promise, or that nobody reads, are
// refused with their name.
func TestRefused(t *testing.T) {
	for name, tt := range map[string]struct{ values, want string }{
		"replicas without Redis":    {"replicas: 2", "replicas: more than one gateway needs Redis"},
		"autoscaling without Redis": {"autoscaling: {enabled: true}", "autoscaling.enabled: more than one gateway needs Redis"},
		"two kinds of Redis":        {"redis: {addresses: [a:1], valkey: {enabled: true}}", "redis.addresses: has to be empty"},
		"least above most":          {"redis: {addresses: [a:1]}\nautoscaling: {enabled: true, minReplicas: 5, maxReplicas: 4}", "autoscaling.minReplicas"},
		"account without a name":    {"serviceAccount: {create: false}", "serviceAccount.name"},
		"certificate by nobody":     {"tls: {certificate: {create: true}}", "tls.certificate.issuerRef"},
		"unknown":                   {"replica: 2", "'replica' not allowed"},
		"unknown inside":            {"redis: {address: [a:1]}", "'address' not allowed"},
		"of another type":           {"replicas: many", "want integer"},
		"wildcard":                  {"rbac: {owners: {kinds: [{apiGroup: '*', resource: '*'}]}}", "does not match pattern"},
		"fewer than two":            {"autoscaling: {minReplicas: 1}", "minimum: got 1, want 2"},
	} {
		t.Run(name, func(t *testing.T) {
			v, err := parseValues(tt.values)
			must(t, err)
			if _, err := render(filepath.Join(root, chartDir), "a", v); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %q", err, tt.want)
			}
		})
	}
	// An address in the configuration itself is Redis too.
	mustRender(t, "a", "replicas: 2\nconfig: {redis: {addresses: [a:1]}}")
}

// TestNothingWide: no rule has a wildcard or speaks of Secrets, however much is
// turned on.
func TestNothingWide(t *testing.T) {
	for name, v := range variants {
		for _, o := range mustRender(t, "a", v.values) {
			if o.GetKind() != "Role" && o.GetKind() != "ClusterRole" {
				continue
			}
			rules, _, err := unstructured.NestedSlice(o.Object, "rules")
			must(t, err)
			for _, rule := range rules {
				for key, list := range rule.(map[string]any) {
					for _, word := range list.([]any) {
						if word := word.(string); strings.Contains(word, "*") || word == "secrets" {
							t.Errorf("%s: %s %s has %q among its %s", name, o.GetKind(), o.GetName(), word, key)
						}
					}
				}
			}
		}
	}
}

func TestLint(t *testing.T) {
	for name, v := range variants {
		all, err := parseValues(v.values)
		must(t, err)
		lint := action.NewLint()
		lint.Strict = true
		result := lint.Run([]string{filepath.Join(root, chartDir)}, all)
		for _, err := range result.Errors {
			t.Errorf("%s: %v", name, err)
		}
		for _, m := range result.Messages {
			if !strings.Contains(m.Error(), "icon is recommended") {
				t.Errorf("%s: %v", name, m)
			}
		}
	}
}

// TestHooks: the commands of the chart's test and of the pod's end, run against a
// gateway as the chart configures it.
func TestHooks(t *testing.T) {
	const namespace = "hooks"
	shared.mustNamespace(t, namespace)
	objects := mustRender(t, namespace, "{}")
	shared.mustApply(t, objects)
	g := shared.start(t, objects, namespace)
	g.awaitReady(t)
	test, _, err := unstructured.NestedSlice(find(t, objects, "Pod", "gateway-test").Object, "spec", "containers")
	must(t, err)
	arguments, _, err := unstructured.NestedStringSlice(test[0].(map[string]any), "args")
	must(t, err)
	toService := slices.Index(arguments, "http://gateway-service:9090")
	if toService < 0 {
		t.Fatalf("the test asks somebody else: %v", arguments)
	}
	arguments[toService] = "http://" + g.admin
	preStop := workload(t, objects).Containers[0].Lifecycle.PreStop.Exec.Command
	if preStop[0] != "/gateway" {
		t.Fatalf("the image has no %s", preStop[0])
	}
	for _, command := range [][]string{arguments, append(preStop[1:], "--admin", "http://"+g.admin)} {
		if said, err := exec.CommandContext(t.Context(), binary, command...).CombinedOutput(); err != nil {
			t.Errorf("%v: %v\n%s", command, err, said)
		}
	}
	g.stop(t)
	arguments[slices.Index(arguments, "1m")] = "500ms"
	if said, err := exec.CommandContext(t.Context(), binary, arguments...).CombinedOutput(); err == nil {
		t.Errorf("the test passes without a gateway: %s", said)
	}
}
