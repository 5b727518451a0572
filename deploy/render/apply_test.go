package main

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"

	certmanagerv1 "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	monitoringv1alpha1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1alpha1"
	istiov1 "istio.io/client-go/pkg/apis/security/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/restmapper"
	"sigs.k8s.io/yaml"
)

// foreign are kinds of other projects, by the types that they are read into.
var foreign = map[schema.GroupVersionKind]struct {
	plural string
	into   func() any
}{
	{Group: "monitoring.coreos.com", Version: "v1", Kind: "ServiceMonitor"}: {"servicemonitors", func() any { return new(monitoringv1.ServiceMonitor) }},
	{Group: "monitoring.coreos.com", Version: "v1", Kind: "PrometheusRule"}: {"prometheusrules", func() any { return new(monitoringv1.PrometheusRule) }},
	{Group: "monitoring.coreos.com", Version: "v1", Kind: "Alertmanager"}:   {"alertmanagers", func() any { return new(monitoringv1.Alertmanager) }},
	{Group: "monitoring.coreos.com", Version: "v1alpha1", Kind: "AlertmanagerConfig"}: {
		"alertmanagerconfigs", func() any { return new(monitoringv1alpha1.AlertmanagerConfig) },
	},
	{Group: "cert-manager.io", Version: "v1", Kind: "Certificate"}:           {"certificates", func() any { return new(certmanagerv1.Certificate) }},
	{Group: "security.istio.io", Version: "v1", Kind: "PeerAuthentication"}:  {"peerauthentications", func() any { return new(istiov1.PeerAuthentication) }},
	{Group: "security.istio.io", Version: "v1", Kind: "AuthorizationPolicy"}: {"authorizationpolicies", func() any { return new(istiov1.AuthorizationPolicy) }},
}

var crds = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}

// installForeign installs CRDs of the foreign kinds that take anything: what
// their fields are is held by the types.
func (w *world) installForeign(ctx context.Context) error {
	for gvk, f := range foreign {
		crd, err := parse(fmt.Sprintf(`apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: %[1]s.%[2]s}
spec:
  group: %[2]s
  scope: Namespaced
  names: {plural: %[1]s, kind: %[3]s}
  versions:
    - name: %[4]s
      served: true
      storage: true
      schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
`, f.plural, gvk.Group, gvk.Kind, gvk.Version))
		if err != nil {
			return err
		}
		if _, err := w.dynamic.Resource(crds).Create(ctx, crd[0], metav1.CreateOptions{}); err != nil {
			return err
		}
	}
	return nil
}

// parse reads objects from YAML.
func parse(text string) ([]*unstructured.Unstructured, error) {
	var objects []*unstructured.Unstructured
	for _, document := range bytes.Split([]byte(text), []byte("\n---\n")) {
		var object map[string]any
		if err := yaml.UnmarshalStrict(bytes.TrimPrefix(document, []byte("---\n")), &object); err != nil {
			return nil, fmt.Errorf("%w:\n%s", err, document)
		}
		if len(object) > 0 {
			objects = append(objects, &unstructured.Unstructured{Object: object})
		}
	}
	return objects, nil
}

// mustParse reads the objects of files.
func mustParse(tb testing.TB, files map[string]string) []*unstructured.Unstructured {
	tb.Helper()
	var objects []*unstructured.Unstructured
	for _, name := range slices.Sorted(maps.Keys(files)) {
		parsed, err := parse(files[name])
		if err != nil {
			tb.Fatalf("%s: %v", name, err)
		}
		objects = append(objects, parsed...)
	}
	return objects
}

// first says what has to be there before other objects.
var first = []string{"Namespace", "CustomResourceDefinition"}

// mustApply applies objects by server-side apply with strict validation of their
// fields.
func (w *world) mustApply(tb testing.TB, objects []*unstructured.Unstructured) {
	tb.Helper()
	sorted := slices.Clone(objects)
	slices.SortStableFunc(sorted, func(a, b *unstructured.Unstructured) int { return rank(a) - rank(b) })
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(w.core.Discovery()))
	for _, o := range sorted {
		if f, ok := foreign[o.GroupVersionKind()]; ok {
			text, err := yaml.Marshal(o.Object)
			must(tb, err)
			if err := yaml.UnmarshalStrict(text, f.into()); err != nil {
				tb.Errorf("%s %s: %v", o.GetKind(), o.GetName(), err)
			}
		}
		must(tb, w.apply(tb.Context(), mapper, o))
	}
}

func rank(o *unstructured.Unstructured) int {
	if i := slices.Index(first, o.GetKind()); i >= 0 {
		return i
	}
	return len(first)
}

func (w *world) apply(ctx context.Context, mapper *restmapper.DeferredDiscoveryRESTMapper, o *unstructured.Unstructured) error {
	mapping, err := mapper.RESTMapping(o.GroupVersionKind().GroupKind(), o.GroupVersionKind().Version)
	if meta.IsNoMatchError(err) {
		return fmt.Errorf("%s %s: %w", o.GetKind(), o.GetName(), err)
	}
	if err != nil {
		return err
	}
	body, err := o.MarshalJSON()
	if err != nil {
		return err
	}
	force := true
	client := w.dynamic.Resource(mapping.Resource)
	options := metav1.PatchOptions{FieldManager: "test", Force: &force, FieldValidation: metav1.FieldValidationStrict}
	if mapping.Scope.Name() == meta.RESTScopeNameNamespace {
		if o.GetNamespace() == "" {
			return fmt.Errorf("%s %s: no namespace", o.GetKind(), o.GetName())
		}
		_, err = client.Namespace(o.GetNamespace()).Patch(ctx, o.GetName(), types.ApplyPatchType, body, options)
	} else {
		_, err = client.Patch(ctx, o.GetName(), types.ApplyPatchType, body, options)
	}
	if err != nil {
		return fmt.Errorf("apply %s %s: %w", o.GetKind(), o.GetName(), err)
	}
	return nil
}

// mustNamespace makes a namespace that enforces Pod Security "restricted".
func (w *world) mustNamespace(tb testing.TB, name string) {
	tb.Helper()
	objects, err := parse("apiVersion: v1\nkind: Namespace\nmetadata: {name: " + name + ", labels: {pod-security.kubernetes.io/enforce: restricted}}\n")
	must(tb, err)
	w.mustApply(tb, objects)
}

// mustAdmitPods creates a pod of each object that has a template, and each pod,
// as a controller does.
func (w *world) mustAdmitPods(tb testing.TB, objects []*unstructured.Unstructured) (pods int) {
	tb.Helper()
	for _, o := range objects {
		template := o.Object
		if o.GetKind() != "Pod" {
			spec, _, _ := unstructured.NestedMap(o.Object, "spec", "template")
			if spec == nil {
				continue
			}
			template = spec
		}
		pod := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Pod", "metadata": template["metadata"], "spec": template["spec"]}}
		pod = pod.DeepCopy()
		pod.SetName(o.GetName() + "-0")
		must(tb, claim(pod, o))
		_, err := w.dynamic.Resource(schema.GroupVersionResource{Version: "v1", Resource: "pods"}).Namespace(o.GetNamespace()).
			Create(tb.Context(), pod, metav1.CreateOptions{FieldValidation: metav1.FieldValidationStrict, DryRun: []string{metav1.DryRunAll}})
		if err != nil {
			tb.Errorf("pod of %s %s: %v", o.GetKind(), o.GetName(), err)
		}
		pods++
	}
	return pods
}

// claim gives a pod the volumes that a StatefulSet claims for it.
func claim(pod, set *unstructured.Unstructured) error {
	claims, _, err := unstructured.NestedSlice(set.Object, "spec", "volumeClaimTemplates")
	if err != nil || len(claims) == 0 {
		return err
	}
	volumes, _, err := unstructured.NestedSlice(pod.Object, "spec", "volumes")
	if err != nil {
		return err
	}
	for _, c := range claims {
		name, _, _ := unstructured.NestedString(c.(map[string]any), "metadata", "name")
		volumes = append(volumes, map[string]any{"name": name, "persistentVolumeClaim": map[string]any{"claimName": name + "-" + pod.GetName()}})
	}
	return unstructured.SetNestedSlice(pod.Object, volumes, "spec", "volumes")
}

// find returns the one object of a kind with a name.
func find(tb testing.TB, objects []*unstructured.Unstructured, kind, name string) *unstructured.Unstructured {
	tb.Helper()
	var found *unstructured.Unstructured
	for _, o := range objects {
		if o.GetKind() == kind && o.GetName() == name {
			if found != nil {
				tb.Fatalf("%s %s is there twice", kind, name)
			}
			found = o
		}
	}
	if found == nil {
		tb.Fatalf("no %s %s", kind, name)
	}
	return found
}

// TestRestrictedIsEnforced: what admits the pods of the other tests refuses one
// that is not restricted.
func TestRestrictedIsEnforced(t *testing.T) {
	shared.mustNamespace(t, "restricted")
	objects, err := parse("apiVersion: v1\nkind: Pod\nmetadata: {name: root, namespace: restricted}\nspec: {containers: [{name: a, image: a}]}\n")
	must(t, err)
	_, err = shared.dynamic.Resource(schema.GroupVersionResource{Version: "v1", Resource: "pods"}).Namespace("restricted").
		Create(t.Context(), objects[0], metav1.CreateOptions{})
	if !apierrors.IsForbidden(err) {
		t.Errorf("a pod as root is answered %v", err)
	}
}
