package main

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// mustBuild returns what kustomize makes of a folder below deploy/kustomize.
func mustBuild(tb testing.TB, dir string) []*unstructured.Unstructured {
	tb.Helper()
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), filepath.Join(root, "deploy/kustomize", dir))
	must(tb, err)
	text, err := built.AsYaml()
	must(tb, err)
	return mustParse(tb, map[string]string{dir: string(text)})
}

// names returns what objects are, sorted.
func names(tb testing.TB, objects []*unstructured.Unstructured) []string {
	tb.Helper()
	var all []string
	for _, o := range objects {
		all = append(all, strings.Join([]string{o.GetAPIVersion(), o.GetKind(), o.GetNamespace(), o.GetName()}, " "))
	}
	slices.Sort(all)
	if twice := len(all) - len(slices.Compact(slices.Clone(all))); twice > 0 {
		tb.Errorf("%d objects are there twice in %v", twice, all)
	}
	return all
}

// TestOverlays: each is taken by the API server as it is, its pods are admitted
// where Pod Security is restricted, and the gateway starts with its configuration.
func TestOverlays(t *testing.T) {
	for name, gateways := range map[string][]string{
		"base": {"kubernaut-system"}, "overlays/openshift": {"kubernaut-system"}, "overlays/mesh": {"kubernaut-system"},
		"overlays/sharded": {"kubernaut-east", "kubernaut-west"},
	} {
		t.Run(filepath.Base(name), func(t *testing.T) {
			objects := mustBuild(t, name)
			shared.mustApply(t, objects)
			if pods := shared.mustAdmitPods(t, objects); pods != len(gateways) {
				t.Errorf("%d pods, want one of each of %d gateways", pods, len(gateways))
			}
			for _, namespace := range gateways {
				g := shared.start(t, inNamespace(objects, namespace), namespace)
				g.awaitReady(t)
				g.stop(t)
			}
		})
	}
}

// inNamespace returns the objects of a namespace.
func inNamespace(objects []*unstructured.Unstructured, namespace string) []*unstructured.Unstructured {
	return slices.DeleteFunc(slices.Clone(objects), func(o *unstructured.Unstructured) bool { return o.GetNamespace() != namespace })
}

// TestOpenShiftLeavesUsersToTheCluster: a user of our choice would be refused by
// the namespace's range.
func TestOpenShiftLeavesUsersToTheCluster(t *testing.T) {
	spec, _, err := unstructured.NestedMap(find(t, mustBuild(t, "overlays/openshift"), "StatefulSet", "gateway").Object,
		"spec", "template", "spec", "securityContext")
	must(t, err)
	for _, key := range []string{"runAsUser", "runAsGroup", "fsGroup"} {
		if _, there := spec[key]; there {
			t.Errorf("the overlay sets %s", key)
		}
	}
}

// TestShardsShareNothing: but the CRD and the policy, which are there once.
func TestShardsShareNothing(t *testing.T) {
	counts := make(map[string]int)
	for _, o := range mustBuild(t, "overlays/sharded") {
		counts[o.GetKind()]++
		if o.GetKind() == "ClusterRoleBinding" {
			subjects, _, _ := unstructured.NestedSlice(o.Object, "subjects")
			if shard := subjects[0].(map[string]any)["namespace"].(string); !strings.HasPrefix(o.GetName(), shard) {
				t.Errorf("%s binds an account of %s", o.GetName(), shard)
			}
		}
	}
	for kind, want := range map[string]int{
		"CustomResourceDefinition": 1, "ValidatingAdmissionPolicy": 1, "ValidatingAdmissionPolicyBinding": 1,
		"Namespace": 2, "StatefulSet": 2, "ClusterRole": 2, "ClusterRoleBinding": 2, "ConfigMap": 2,
	} {
		if counts[kind] != want {
			t.Errorf("%d of %s, want %d", counts[kind], kind, want)
		}
	}
}
