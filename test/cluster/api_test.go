package cluster_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	watchtools "k8s.io/client-go/tools/watch"

	"kubernaut.io/gateway/test/cluster"
)

// What the gateway's tests lean on, and what only a whole cluster has.
func TestAPI(t *testing.T) {
	c := cluster.Start(t)
	cfg, err := clientcmd.BuildConfigFromFlags("", c.Kubeconfig())
	must(t, err)
	client, err := kubernetes.NewForConfig(cfg)
	must(t, err)

	t.Run("version", func(t *testing.T) { testVersion(t, client) })
	t.Run("namespace is deleted with what is in it", func(t *testing.T) { testNamespaceDeletion(t, client) })
	t.Run("what a deleted object owned is deleted", func(t *testing.T) { testGarbageCollection(t, client) })
	t.Run("service account token and RBAC", func(t *testing.T) { testServiceAccountToken(t, client, cfg) })
	t.Run("events", func(t *testing.T) { testEvents(t, client) })
	t.Run("initial list and bookmark in a watch", func(t *testing.T) { testWatchList(t, client) })
	t.Run("custom resource", func(t *testing.T) { testCustomResource(t, cfg) })
}

func testVersion(t *testing.T, client kubernetes.Interface) {
	t.Parallel()
	version, err := client.Discovery().ServerVersion()
	must(t, err)
	if !strings.HasPrefix(version.GitVersion, "v"+version.Major+"."+version.Minor+".") {
		t.Errorf("gitVersion %s, major %s, minor %s", version.GitVersion, version.Major, version.Minor)
	}
}

func testNamespaceDeletion(t *testing.T, client kubernetes.Interface) {
	t.Parallel()
	ns := mustCreateNamespace(t, client)
	_, err := client.CoreV1().ConfigMaps(ns).Create(t.Context(), configMap("inside"), metav1.CreateOptions{})
	must(t, err)
	w, err := client.CoreV1().Namespaces().Watch(t.Context(), metav1.SingleObject(metav1.ObjectMeta{Name: ns}))
	must(t, err)
	must(t, client.CoreV1().Namespaces().Delete(t.Context(), ns, metav1.DeleteOptions{}))
	mustSee(t, w, func(e watch.Event) bool { return e.Type == watch.Deleted })
}

func testGarbageCollection(t *testing.T, client kubernetes.Interface) {
	t.Parallel()
	maps := client.CoreV1().ConfigMaps(mustCreateNamespace(t, client))
	owner, err := maps.Create(t.Context(), configMap("owner"), metav1.CreateOptions{})
	must(t, err)
	owned := configMap("owned")
	owned.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "ConfigMap", Name: owner.Name, UID: owner.UID}}
	owned, err = maps.Create(t.Context(), owned, metav1.CreateOptions{})
	must(t, err)

	w, err := maps.Watch(t.Context(), metav1.SingleObject(owned.ObjectMeta))
	must(t, err)
	must(t, maps.Delete(t.Context(), owner.Name, metav1.DeleteOptions{}))
	mustSee(t, w, func(e watch.Event) bool { return e.Type == watch.Deleted })
}

func testServiceAccountToken(t *testing.T, admin kubernetes.Interface, cfg *rest.Config) {
	t.Parallel()
	ctx, ns := t.Context(), mustCreateNamespace(t, admin)
	meta := metav1.ObjectMeta{Name: "reader", Namespace: ns}
	_, err := admin.CoreV1().ServiceAccounts(ns).Create(ctx, &corev1.ServiceAccount{ObjectMeta: meta}, metav1.CreateOptions{})
	must(t, err)
	_, err = admin.RbacV1().Roles(ns).Create(ctx, &rbacv1.Role{ObjectMeta: meta, Rules: []rbacv1.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"configmaps"}, Verbs: []string{"list"}},
	}}, metav1.CreateOptions{})
	must(t, err)
	_, err = admin.RbacV1().RoleBindings(ns).Create(ctx, &rbacv1.RoleBinding{
		ObjectMeta: meta,
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: meta.Name},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Name: meta.Name, Namespace: ns}},
	}, metav1.CreateOptions{})
	must(t, err)
	token, err := admin.CoreV1().ServiceAccounts(ns).CreateToken(ctx, meta.Name, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	must(t, err)

	reader := rest.AnonymousClientConfig(cfg)
	reader.BearerToken = token.Status.Token
	client, err := kubernetes.NewForConfig(reader)
	must(t, err)
	// The authorizer learns of a new binding through a watch of its own.
	for {
		_, err = client.CoreV1().ConfigMaps(ns).List(ctx, metav1.ListOptions{})
		if !apierrors.IsForbidden(err) {
			break
		}
	}
	must(t, err)
	if _, err = client.CoreV1().Secrets(ns).List(ctx, metav1.ListOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("secrets: err = %v, want forbidden", err)
	}

	review, err := admin.AuthenticationV1().TokenReviews().Create(ctx, &authenticationv1.TokenReview{
		Spec: authenticationv1.TokenReviewSpec{Token: token.Status.Token},
	}, metav1.CreateOptions{})
	must(t, err)
	if want := "system:serviceaccount:" + ns + ":reader"; !review.Status.Authenticated || review.Status.User.Username != want {
		t.Errorf("review says %+v, want %s", review.Status, want)
	}
}

// An Event is one object under two API groups.
func testEvents(t *testing.T, client kubernetes.Interface) {
	t.Parallel()
	ns := mustCreateNamespace(t, client)
	event, err := client.EventsV1().Events(ns).Create(t.Context(), &eventsv1.Event{
		ObjectMeta:          metav1.ObjectMeta{Name: "restarted"},
		EventTime:           metav1.NowMicro(),
		Regarding:           corev1.ObjectReference{APIVersion: "v1", Kind: "Pod", Name: "p", Namespace: ns},
		Reason:              "BackOff",
		Type:                corev1.EventTypeWarning,
		Action:              "Restart",
		ReportingController: "kubelet",
		ReportingInstance:   "node-1",
	}, metav1.CreateOptions{})
	must(t, err)
	core, err := client.CoreV1().Events(ns).Get(t.Context(), event.Name, metav1.GetOptions{})
	must(t, err)
	if core.InvolvedObject.Name != "p" || core.Reason != "BackOff" {
		t.Errorf("as core/v1: %+v", core)
	}
}

// Informers begin with a watch that lists, whose end a bookmark marks, and keep
// their place in a quiet watch by further bookmarks.
func testWatchList(t *testing.T, client kubernetes.Interface) {
	t.Parallel()
	maps := client.CoreV1().ConfigMaps(mustCreateNamespace(t, client))
	elsewhere := client.CoreV1().ConfigMaps(mustCreateNamespace(t, client))
	_, err := maps.Create(t.Context(), configMap("listed"), metav1.CreateOptions{})
	must(t, err)

	// The second bookmark is due 2 s before the watch ends, if there is a newer
	// version by then. A busy machine may miss it, and nobody promises it.
	want := []watch.EventType{watch.Added, watch.Bookmark}
	for range 6 {
		w, err := maps.Watch(t.Context(), metav1.ListOptions{
			SendInitialEvents:    new(true),
			AllowWatchBookmarks:  true,
			ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan,
			TimeoutSeconds:       new(int64(5)),
		})
		must(t, err)
		var seen []watch.EventType
		for e := range w.ResultChan() {
			seen = append(seen, e.Type)
			if slices.Equal(seen, want) {
				newer := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{GenerateName: "newer-"}}
				_, err := elsewhere.Create(t.Context(), newer, metav1.CreateOptions{})
				must(t, err)
			}
		}
		if len(seen) > len(want) && slices.Equal(slices.Compact(slices.Clone(seen)), want) {
			return
		}
		t.Logf("events %v, want %v and further bookmarks", seen, want)
	}
	t.Error("no watch kept its place by a second bookmark")
}

// Flags reach kube-apiserver: with compaction this often a watch that was away for
// seconds is told, by 410, that it missed something.
func TestFlagsArePassedOn(t *testing.T) {
	c := cluster.Start(t, cluster.WithFlags("--etcd-compaction-interval=1s"))
	client := mustClient(t, c)
	old, err := client.CoreV1().Events("default").List(t.Context(), metav1.ListOptions{})
	must(t, err)

	deadline := time.Now().Add(time.Minute)
	opts := metav1.ListOptions{ResourceVersion: old.ResourceVersion, TimeoutSeconds: new(int64(1))}
	for i := 0; ; i++ {
		// History is dropped up to where it was one interval ago, if it went on.
		mustCreateConfigMap(t, client, fmt.Sprintf("step-%d", i))
		w, err := client.CoreV1().Events("default").Watch(t.Context(), opts)
		must(t, err)
		if event, ok := <-w.ResultChan(); ok {
			if err := apierrors.FromObject(event.Object); !apierrors.IsResourceExpired(err) {
				t.Errorf("err = %v, want expired", err)
			}
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the watch never expired")
		}
	}
}

const widgetCRD = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.test.kubernaut.io}
spec:
  group: test.kubernaut.io
  names: {kind: Widget, plural: widgets}
  scope: Namespaced
  versions:
  - name: v1
    served: true
    storage: true
    subresources: {status: {}}
    selectableFields: [{jsonPath: .spec.color}]
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            x-kubernetes-validations: [{rule: self == oldSelf, message: spec is immutable}]
            properties:
              color: {type: string}
              size: {type: integer, maximum: 9}
          status:
            type: object
            properties:
              count: {type: integer}
`

func testCustomResource(t *testing.T, cfg *rest.Config) {
	t.Parallel()
	client, err := dynamic.NewForConfig(cfg)
	must(t, err)
	mustInstallCRD(t, client, widgetCRD)
	widgets := client.Resource(schema.GroupVersionResource{Group: "test.kubernaut.io", Version: "v1", Resource: "widgets"}).Namespace("default")
	for _, color := range []string{"red", "blue"} {
		_, err := widgets.Create(t.Context(), widget(color, color), metav1.CreateOptions{})
		must(t, err)
	}

	t.Run("CEL keeps the spec", func(t *testing.T) {
		patch := []byte(`{"spec": {"color": "green"}}`)
		_, err := widgets.Patch(t.Context(), "red", types.MergePatchType, patch, metav1.PatchOptions{})
		if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "spec is immutable") {
			t.Errorf("err = %v, want invalid: spec is immutable", err)
		}
	})
	t.Run("selectable field in list and watch", func(t *testing.T) {
		opts := metav1.ListOptions{FieldSelector: "spec.color=red"}
		list, err := widgets.List(t.Context(), opts)
		must(t, err)
		if len(list.Items) != 1 || list.Items[0].GetName() != "red" {
			t.Errorf("list has %d items, want red alone", len(list.Items))
		}
		opts.ResourceVersion = list.GetResourceVersion()
		w, err := widgets.Watch(t.Context(), opts)
		must(t, err)
		for _, name := range []string{"other", "another"} {
			_, err = widgets.Create(t.Context(), widget(name, map[string]string{"other": "blue", "another": "red"}[name]), metav1.CreateOptions{})
			must(t, err)
		}
		mustSee(t, w, func(e watch.Event) bool {
			name := e.Object.(*unstructured.Unstructured).GetName()
			if name != "another" {
				t.Errorf("watch shows %s", name)
			}
			return true
		})
	})
	t.Run("server-side apply of the status", func(t *testing.T) {
		status := widget("red", "")
		delete(status.Object, "spec")
		status.Object["status"] = map[string]any{"count": int64(1)}
		_, err := widgets.ApplyStatus(t.Context(), "red", status, metav1.ApplyOptions{FieldManager: "one"})
		must(t, err)
		status.Object["status"] = map[string]any{"count": int64(2)}
		_, err = widgets.ApplyStatus(t.Context(), "red", status, metav1.ApplyOptions{FieldManager: "two"})
		if !apierrors.IsConflict(err) {
			t.Errorf("err = %v, want a conflict of field managers", err)
		}
		status.SetResourceVersion("1")
		_, err = widgets.ApplyStatus(t.Context(), "red", status, metav1.ApplyOptions{FieldManager: "two", Force: true})
		if !apierrors.IsConflict(err) {
			t.Errorf("err = %v, want a conflict of resource versions", err)
		}
	})
}

func mustInstallCRD(tb testing.TB, client dynamic.Interface, text string) {
	tb.Helper()
	crd := &unstructured.Unstructured{}
	must(tb, yaml.Unmarshal([]byte(text), &crd.Object))
	crds := client.Resource(schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"})
	crd, err := crds.Create(tb.Context(), crd, metav1.CreateOptions{})
	must(tb, err)
	w, err := crds.Watch(tb.Context(), metav1.SingleObject(metav1.ObjectMeta{Name: crd.GetName()}))
	must(tb, err)
	mustSee(tb, w, func(e watch.Event) bool {
		conditions, _, _ := unstructured.NestedSlice(e.Object.(*unstructured.Unstructured).Object, "status", "conditions")
		return slices.ContainsFunc(conditions, func(c any) bool {
			condition := c.(map[string]any)
			return condition["type"] == "Established" && condition["status"] == "True"
		})
	})
}

func mustCreateNamespace(tb testing.TB, client kubernetes.Interface) string {
	tb.Helper()
	ns, err := client.CoreV1().Namespaces().Create(tb.Context(),
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "test-"}}, metav1.CreateOptions{})
	must(tb, err)
	return ns.Name
}

// mustSee waits until done is true of an event of w.
func mustSee(tb testing.TB, w watch.Interface, done func(watch.Event) bool) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), time.Minute)
	defer cancel()
	_, err := watchtools.UntilWithoutRetry(ctx, w, func(e watch.Event) (bool, error) { return done(e), nil })
	must(tb, err)
}

func configMap(name string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}}
}

func widget(name, color string) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "test.kubernaut.io/v1",
		"kind":       "Widget",
		"metadata":   map[string]any{"name": name},
		"spec":       map[string]any{"color": color},
	}}
}
