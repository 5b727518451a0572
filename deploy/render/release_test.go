package main

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"helm.sh/helm/v4/pkg/action"
	chartv2 "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/kube"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/cli-runtime/pkg/genericclioptions"
)

// releaseNamespace is where Helm installs.
const releaseNamespace = "release"

const crdName = "remediationrequests.remediation.kubernaut.io"

// mustHelm returns what Helm's actions take, for a namespace.
func (w *world) mustHelm(tb testing.TB, namespace string) *action.Configuration {
	tb.Helper()
	flags := genericclioptions.NewConfigFlags(false)
	kubeconfig := w.Kubeconfig()
	flags.KubeConfig, flags.Namespace = &kubeconfig, &namespace
	c := action.NewConfiguration()
	must(tb, c.Init(flags, namespace, "secret"))
	return c
}

// mustLoad returns the chart.
func mustLoad(tb testing.TB) *chartv2.Chart {
	tb.Helper()
	chart, err := loader.Load(filepath.Join(root, chartDir))
	must(tb, err)
	return chart
}

// mustPrevious returns the chart as a version before this one may have been: with
// a CRD that lacks a field and a column, and fewer rights.
func mustPrevious(tb testing.TB) *chartv2.Chart {
	tb.Helper()
	chart := mustLoad(tb)
	chart.Metadata.Version, chart.Metadata.AppVersion = "0.0.9", "0.0.9"
	replace := func(data []byte, from, to string) []byte {
		if !bytes.Contains(data, []byte(from)) {
			tb.Fatalf("the chart has no %q", from)
		}
		return bytes.ReplaceAll(data, []byte(from), []byte(to))
	}
	for _, f := range chart.Files {
		if strings.HasPrefix(f.Name, "files/crd/") {
			f.Data = replace(f.Data, "    - jsonPath: .status.overallPhase\n      name: Phase\n      type: string\n", "")
		}
	}
	for _, f := range chart.Templates {
		if f.Name == "templates/rbac.yaml" {
			f.Data = replace(f.Data, "verbs: [get, list, watch, create, delete]", "verbs: [get, list, watch, create]")
		}
	}
	return chart
}

func (w *world) mustGet(tb testing.TB, gvr schema.GroupVersionResource, namespace, name string) *unstructured.Unstructured {
	tb.Helper()
	o, err := w.dynamic.Resource(gvr).Namespace(namespace).Get(tb.Context(), name, metav1.GetOptions{})
	must(tb, err)
	return o
}

// hasPhaseColumn reports whether the CRD is that of this version.
func (w *world) hasPhaseColumn(tb testing.TB) bool {
	tb.Helper()
	text, err := w.mustGet(tb, crds, "", crdName).MarshalJSON()
	must(tb, err)
	return bytes.Contains(text, []byte(`"name":"Phase"`))
}

// mayDelete reports whether the gateway's role is that of this version.
func (w *world) mayDelete(tb testing.TB, namespace string) bool {
	tb.Helper()
	role, err := w.core.RbacV1().Roles(namespace).Get(tb.Context(), "gateway", metav1.GetOptions{})
	must(tb, err)
	for _, r := range split(role.Rules) {
		if r.verb == "delete" && r.resource == "remediationrequests" {
			return true
		}
	}
	return false
}

// TestRelease: Helm takes over what "gateway crd" installed, upgrades it to this one with the CRD and
// without a conflict with what others have written, rolls it back, leaves the
// requests when it is uninstalled, and installs it anew beside them. The gateway starts at each step.
func TestRelease(t *testing.T) {
	const namespace = releaseNamespace
	w := mustWorld(t)
	w.mustNamespace(t, namespace)
	helm := w.mustHelm(t, namespace)

	printed, err := exec.CommandContext(t.Context(), binary, "crd", "--approval-policy").Output()
	must(t, err)
	w.mustApply(t, mustParse(t, map[string]string{"crd": string(printed)}))
	install := func() *action.Install {
		install := action.NewInstall(helm)
		install.ReleaseName, install.Namespace, install.WaitStrategy, install.Timeout = "gateway", namespace, kube.HookOnlyStrategy, patience
		return install
	}
	overGateway := install()
	overGateway.TakeOwnership, overGateway.ForceConflicts = true, true
	_, err = overGateway.RunWithContext(t.Context(), mustPrevious(t), values{})
	must(t, err)
	if w.hasPhaseColumn(t) || w.mayDelete(t, namespace) {
		t.Fatal("the previous version is this one")
	}
	w.serveFrom(t)
	request := w.mustRequest(t, namespace)

	upgrade := action.NewUpgrade(helm)
	upgrade.Namespace, upgrade.WaitStrategy, upgrade.Timeout = namespace, kube.HookOnlyStrategy, patience
	redis := values{"replicas": 2, "redis": values{"addresses": []any{"redis.data:6379"}}}
	_, err = upgrade.RunWithContext(t.Context(), "gateway", mustLoad(t), redis)
	must(t, err)
	if !w.hasPhaseColumn(t) || !w.mayDelete(t, namespace) {
		t.Error("the upgrade left the CRD or the role as it was")
	}
	if set := w.mustGet(t, statefulSets, namespace, "gateway"); !strings.Contains(set.GetLabels()["app.kubernetes.io/version"], "0.1.0") {
		t.Errorf("after the upgrade the labels are %v", set.GetLabels())
	}
	w.serveFrom(t)

	rollback := action.NewRollback(helm)
	rollback.Version, rollback.WaitStrategy, rollback.Timeout = 1, kube.HookOnlyStrategy, patience
	must(t, rollback.Run("gateway"))
	if w.mayDelete(t, namespace) {
		t.Error("after the rollback the role is still that of this version")
	}
	if _, err := w.core.PolicyV1().PodDisruptionBudgets(namespace).Get(t.Context(), "gateway", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("after the rollback there is what only the upgrade had: %v", err)
	}
	w.serveFrom(t)

	uninstall := action.NewUninstall(helm)
	uninstall.WaitStrategy, uninstall.Timeout = kube.HookOnlyStrategy, patience
	_, err = uninstall.Run("gateway")
	must(t, err)
	if _, err := w.dynamic.Resource(statefulSets).Namespace(namespace).Get(t.Context(), "gateway", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("after the chart was uninstalled its StatefulSet is %v", err)
	}
	w.mustGet(t, crds, "", crdName)
	w.mustGet(t, requests, namespace, request)

	_, err = install().RunWithContext(t.Context(), mustLoad(t), values{})
	must(t, err)
	w.serveFrom(t)
	w.mustGet(t, requests, namespace, request)
}

var statefulSets = schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "statefulsets"}

// serveFrom runs the gateway as what is in the cluster now says, until it is
// ready.
func (w *world) serveFrom(t *testing.T) {
	t.Helper()
	const namespace = releaseNamespace
	config := w.mustGet(t, schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}, namespace, "gateway-config")
	g := w.start(t, []*unstructured.Unstructured{w.mustGet(t, statefulSets, namespace, "gateway"), config}, namespace)
	g.awaitReady(t)
	g.stop(t)
}

// mustRequest creates a request, as the gateway does, and returns its name.
func (w *world) mustRequest(tb testing.TB, namespace string) string {
	tb.Helper()
	objects, err := parse(`apiVersion: remediation.kubernaut.io/v1alpha1
kind: RemediationRequest
metadata: {name: rr-kept, namespace: ` + namespace + `}
spec:
  signalFingerprint: "` + strings.Repeat("0", 64) + `"
  signalName: CrashLooping
  severity: critical
  environment: production
  priority: P0
  remediationPath: conservative
  signalType: prometheus-alert
  signalSource: prometheus
  targetType: none
  firingTime: "2030-01-01T00:00:00.000000Z"
  receivedTime: "2030-01-01T00:00:00.000000Z"
  sequence: 1
  attempt: 1
`)
	must(tb, err)
	w.mustApply(tb, objects)
	return objects[0].GetName()
}
