package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// everything has the gateway use all that it can use.
const everything = `
spool: {enabled: false}
config:
  cluster: ""
  events: {canary: 1s}
  sources:
    - {name: prometheus, format: alertmanager, auth: [{kubernetes: {audiences: [gateway]}}]}
    - {name: k8s-event, format: kubernetes-event, auth: [{kubernetes: {}}], watch: {enabled: true}}
senders: [{source: prometheus, namespace: NAMESPACE, serviceAccount: sender}]
`

var requests = schema.GroupVersionResource{Group: "remediation.kubernaut.io", Version: "v1alpha1", Resource: "remediationrequests"}

// settings make what takes minutes happen at once.
func settings(config map[string]any) {
	config["dedup"] = map[string]any{"flushInterval": "50ms", "cooldown": "0s", "lateFiring": "0s"}
	config["retention"] = map[string]any{"finished": "1s"}
}

// workloads are what an Event is about that a gateway looks around for.
const workloads = `
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: Node
metadata: {name: node-1}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: cart, namespace: shop}
spec:
  selector: {matchLabels: {app: cart}}
  template:
    metadata: {labels: {app: cart}}
    spec: {containers: [{name: cart, image: cart}]}
---
apiVersion: apps/v1
kind: ReplicaSet
metadata:
  name: cart-1
  namespace: shop
  ownerReferences: [{apiVersion: apps/v1, kind: Deployment, name: cart, uid: UID, controller: true}]
spec:
  selector: {matchLabels: {app: cart}}
  template:
    metadata: {labels: {app: cart}}
    spec: {containers: [{name: cart, image: cart}]}
---
apiVersion: v1
kind: Pod
metadata: {name: cart-1-a, namespace: shop}
spec: {nodeName: node-1, containers: [{name: cart, image: cart}]}
---
apiVersion: v1
kind: Event
metadata: {name: cart-1-a.1, namespace: shop}
type: Warning
reason: BackOff
message: back-off restarting failed container
count: 9
firstTimestamp: NOW
lastTimestamp: NOW
involvedObject: {apiVersion: v1, kind: Pod, name: cart-1-a, namespace: shop}
source: {component: kubelet}
---
apiVersion: v1
kind: Event
metadata: {name: cart-1.1, namespace: shop}
type: Warning
reason: FailedCreate
message: exceeded quota
count: 9
firstTimestamp: NOW
lastTimestamp: NOW
involvedObject: {apiVersion: apps/v1, kind: ReplicaSet, name: cart-1, namespace: shop}
source: {component: replicaset-controller}
`

// mustWorkloads makes the objects of workloads.
func (w *world) mustWorkloads(tb testing.TB) {
	tb.Helper()
	text := strings.ReplaceAll(workloads, "NOW", time.Now().UTC().Format(time.RFC3339))
	objects, err := parse(text)
	must(tb, err)
	for _, o := range objects {
		if owners := o.GetOwnerReferences(); len(owners) > 0 {
			owner, err := w.core.AppsV1().Deployments("shop").Get(tb.Context(), owners[0].Name, metav1.GetOptions{})
			must(tb, err)
			owners[0].UID = owner.UID
			o.SetOwnerReferences(owners)
		}
		w.mustApply(tb, []*unstructured.Unstructured{o})
	}
}

// roles returns the gateway's roles among what the chart renders.
func roles(tb testing.TB, namespace string, objects []*unstructured.Unstructured) map[*unstructured.Unstructured]*rbacv1.ClusterRole {
	tb.Helper()
	found := make(map[*unstructured.Unstructured]*rbacv1.ClusterRole)
	for _, o := range []*unstructured.Unstructured{find(tb, objects, "Role", "gateway"), find(tb, objects, "ClusterRole", namespace+"-gateway")} {
		role := new(rbacv1.ClusterRole)
		must(tb, runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, role))
		found[o] = role
	}
	return found
}

// chartRights are all that the chart grants a gateway that uses everything.
func chartRights(tb testing.TB) []right {
	tb.Helper()
	const namespace = "a"
	var rights []right
	for _, role := range roles(tb, namespace, mustEverything(tb, namespace)) {
		rights = append(rights, split(role.Rules)...)
	}
	return rights
}

func mustEverything(tb testing.TB, namespace string) []*unstructured.Unstructured {
	tb.Helper()
	return mustRender(tb, namespace, strings.ReplaceAll(everything, "NAMESPACE", namespace))
}

// servers are API servers that lists are had from in different ways: by the watch,
// or before Kubernetes 1.34 and on others without WatchList by lists.
var servers = map[string][]string{"this": nil, "without WatchList": {"--feature-gates=WatchList=false"}}

// TestRights: with the chart's roles a gateway does all that it does and is denied
// nothing. There is none among its rights that it does not use, and without any
// one of them it asks for it in vain.
func TestRights(t *testing.T) {
	worlds := make(map[string]*world)
	for name, flags := range servers {
		worlds[name] = mustWorld(t, flags...)
		worlds[name].mustWorkloads(t)
	}
	var mu sync.Mutex
	used := make(map[right]bool)
	t.Run("with", func(t *testing.T) {
		for name, w := range worlds {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				uses := testAllRights(t, w)
				mu.Lock()
				defer mu.Unlock()
				maps.Copy(used, uses)
			})
		}
		for i, r := range chartRights(t) {
			t.Run(r.String()+" denied", func(t *testing.T) {
				t.Parallel()
				server := worlds["this"]
				if r.verb == "list" {
					server = worlds["without WatchList"]
				}
				testWithout(t, server, fmt.Sprintf("without-%d", i), r)
			})
		}
	})
	for _, r := range chartRights(t) {
		if !used[r] {
			t.Errorf("the chart grants %s, which no gateway uses", r)
		}
	}
}

// testAllRights runs the job with all rights, and returns those that were used.
func testAllRights(t *testing.T, w *world) map[right]bool {
	const namespace = "rights"
	j := w.newJob(t, namespace, right{})
	j.run(t)
	j.process.stop(t)
	for _, u := range w.uses(t, j.account()) {
		if u.denied {
			t.Errorf("denied: %s", u.right)
		}
	}
	used := make(map[right]bool)
	for _, r := range chartRights(t) {
		if j.used(t, r) {
			used[r] = true
		}
	}
	return used
}

// testWithout runs the job without one right, until the gateway was denied it.
func testWithout(t *testing.T, w *world, namespace string, r right) {
	j := w.newJob(t, namespace, r)
	j.over = func() bool { return w.denied(t, j.account(), r) }
	j.run(t)
	if !j.over() { // the last chance
		j.process.stop(t)
	}
	if !j.over() {
		t.Errorf("nothing asks for %s", r)
	}
}

// TestHeartbeatRights: there is a Lease for each source whose sender gives signs of life,
// and for no other.
func TestHeartbeatRights(t *testing.T) {
	objects := mustRender(t, "a", `config: {sources: [
  {name: usual, format: alertmanager}, {name: none, format: alertmanager, heartbeat: {interval: 0s}},
  {name: written, format: grafana, heartbeat: {alert: Watchdog}}, {name: other, format: grafana}]}`)
	var leases []string
	for _, role := range roles(t, "a", objects) {
		for _, r := range split(role.Rules) {
			if name, found := strings.CutPrefix(r.name, "gateway-heartbeat-"); found && r.verb == "get" {
				leases = append(leases, name)
			}
		}
	}
	if slices.Sort(leases); !slices.Equal(leases, []string{"usual", "written"}) {
		t.Errorf("Leases for %v", leases)
	}
}
