package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"kubernaut.io/gateway"
)

// newJob applies the chart with all rights but one, and returns the job to be run.
func (w *world) newJob(t *testing.T, namespace string, but right) *job {
	t.Helper()
	w.mustNamespace(t, namespace)
	objects := mustEverything(t, namespace)
	for o, role := range roles(t, namespace, objects) {
		role.Rules = join(split(role.Rules), but)
		changed, err := runtime.DefaultUnstructuredConverter.ToUnstructured(role)
		must(t, err)
		o.Object["rules"] = changed["rules"]
	}
	sender, err := parse("apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: sender, namespace: " + namespace + "}\n")
	must(t, err)
	w.mustApply(t, append(objects, sender...))
	return &job{
		world: w, namespace: namespace, objects: objects, token: w.mustToken(t, namespace, "sender", "gateway"),
		over: func() bool { return false },
	}
}

// job is a gateway that is made to do all that it does.
type job struct {
	*world
	namespace string
	objects   []*unstructured.Unstructured
	token     string
	process   *gatewayProcess
	// over reports that the job need not go on.
	over func() bool
}

func (j *job) requests() interface {
	Get(context.Context, string, metav1.GetOptions, ...string) (*unstructured.Unstructured, error)
	List(context.Context, metav1.ListOptions) (*unstructured.UnstructuredList, error)
	Create(context.Context, *unstructured.Unstructured, metav1.CreateOptions, ...string) (*unstructured.Unstructured, error)
	Patch(context.Context, string, types.PatchType, []byte, metav1.PatchOptions, ...string) (*unstructured.Unstructured, error)
} {
	return j.dynamic.Resource(requests).Namespace(j.namespace)
}

// step waits until ok, or until the job is over, and reports which.
func (j *job) step(t *testing.T, what string, ok func() bool) (goOn bool) {
	t.Helper()
	return j.within(t, patience, what, ok)
}

// within is step with another patience.
func (j *job) within(t *testing.T, patience time.Duration, what string, ok func() bool) (goOn bool) {
	t.Helper()
	over := false
	await(t, patience, what, func() bool {
		over = j.over()
		return over || ok()
	})
	return !over
}

// post sends an alert, or its end, and returns what became of it: the outcome, or what the
// gateway says instead.
func (j *job) post(t *testing.T, name, namespace string, start time.Time, end ...time.Time) (outcome, fingerprint, request string) {
	t.Helper()
	a := map[string]any{
		"status": "firing", "startsAt": start,
		"labels": map[string]string{"alertname": name, "severity": "critical", "namespace": namespace, "pod": "cart-1-a"},
	}
	if len(end) > 0 {
		a["status"], a["endsAt"] = "resolved", end[0]
	}
	return j.send(t, a)
}

// send posts an alert, and returns what post does.
func (j *job) send(t *testing.T, alert map[string]any) (outcome, fingerprint, request string) {
	t.Helper()
	body, err := json.Marshal(map[string]any{"version": "4", "alerts": []any{alert}})
	must(t, err)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+j.process.webhooks+"/webhook/prometheus", bytes.NewReader(body))
	must(t, err)
	r.Header.Set("Authorization", "Bearer "+j.token)
	r.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(r)
	must(t, err)
	defer answer.Body.Close()
	var a struct {
		Title   string
		Signals []struct {
			Outcome, Fingerprint string
			RemediationRequest   struct{ Name string }
		}
	}
	must(t, json.NewDecoder(answer.Body).Decode(&a))
	if len(a.Signals) != 1 {
		return fmt.Sprintf("%d %s", answer.StatusCode, a.Title), "", ""
	}
	return a.Signals[0].Outcome, a.Signals[0].Fingerprint, a.Signals[0].RemediationRequest.Name
}

// run is the whole job, twice: what is left for the end is done when the gateway
// stops and another starts.
func (j *job) run(t *testing.T) {
	t.Helper()
	j.process = j.start(t, j.objects, j.namespace, settings)
	if !j.step(t, "that the gateway is ready", j.process.ready) || !j.alerts(t) || !j.events(t) {
		return
	}
	j.process.stop(t)
	j.process = j.start(t, j.objects, j.namespace, settings)
	if !j.step(t, "that the gateway is ready again", j.process.ready) {
		return
	}
	// Not before it is a minute old.
	j.within(t, 4*patience, "that a finished request is deleted", func() bool {
		list, err := j.requests().List(t.Context(), metav1.ListOptions{})
		must(t, err)
		return !slices.ContainsFunc(list.Items, func(o unstructured.Unstructured) bool {
			phase, _, _ := unstructured.NestedString(o.Object, "status", "overallPhase")
			return phase == "completed"
		})
	})
}

// controllers are what may have controllers themselves, and a Job and a pod that no
// watch has shown, by the labels that name them.
var controllers = map[string]string{
	"deployment": "cart", "statefulset": "db", "daemonset": "agent", "cronjob": "nightly", "job_name": "gone", "pod": "gone",
}

// alerts are created, counted, and decided anew where somebody else was faster.
func (j *job) alerts(t *testing.T) (goOn bool) {
	t.Helper()
	begin := time.Now().Add(-time.Minute)
	var fingerprint, request string
	ok := j.step(t, "that an alert is created", func() bool {
		var outcome string
		outcome, fingerprint, request = j.post(t, "CrashLooping", "shop", begin)
		return outcome == "created"
	})
	ok = ok && j.step(t, "that it is counted", func() bool {
		j.post(t, "CrashLooping", "shop", begin)
		return j.count(t, request) > 1
	})
	ok = ok && j.step(t, "that a sign of life renews its Lease", func() bool {
		j.post(t, "Watchdog", "shop", begin)
		return j.used(t, right{"update", "coordination.k8s.io", "leases", "gateway-heartbeat-prometheus"})
	})
	// A namespace that no watch has shown.
	ok = ok && j.step(t, "that an alert of a namespace that is not there is taken", func() bool {
		outcome, _, _ := j.post(t, "Gone", "nowhere", begin)
		return outcome == "created" || outcome == "duplicate"
	})
	ok = ok && j.step(t, "that its end is taken", func() bool {
		outcome, _, _ := j.post(t, "CrashLooping", "shop", begin, time.Now())
		return outcome == "resolved"
	})
	for label, object := range controllers {
		ok = ok && j.step(t, "that an alert of a "+label+" is taken", func() bool {
			outcome, _, _ := j.send(t, map[string]any{
				"status": "firing", "startsAt": begin, "labels": map[string]string{"alertname": "Down", "severity": "critical", "namespace": "shop", label: object},
			})
			return outcome == "created" || outcome == "duplicate"
		})
	}
	if !ok {
		return false
	}
	j.occupy(t, fingerprint, request)
	return j.step(t, "that what begins after the end has a further request", func() bool {
		outcome, _, _ := j.post(t, "CrashLooping", "shop", time.Now())
		return outcome == "created"
	})
}

// count returns how often a request has been seen, as the API server has it.
func (j *job) count(t *testing.T, request string) int64 {
	t.Helper()
	o, err := j.requests().Get(t.Context(), request, metav1.GetOptions{})
	must(t, err)
	n, _, _ := unstructured.NestedInt64(o.Object, "status", "deduplication", "occurrenceCount")
	return n
}

// occupy ends a request, and has another fault stand under the name of the next.
func (j *job) occupy(t *testing.T, fingerprint, request string) {
	t.Helper()
	ended := time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)
	_, err := j.requests().Patch(t.Context(), request, types.MergePatchType,
		[]byte(`{"status":{"overallPhase":"completed","completedAt":"`+ended+`"}}`), metav1.PatchOptions{}, "status")
	must(t, err)
	o, err := j.requests().Get(t.Context(), request, metav1.GetOptions{})
	must(t, err)
	var f gateway.Fingerprint
	must(t, f.UnmarshalText([]byte(fingerprint)))
	spec := o.Object["spec"].(map[string]any)
	spec["signalFingerprint"] = strings.Repeat("0", 64)
	foreigner := &unstructured.Unstructured{Object: map[string]any{"apiVersion": o.GetAPIVersion(), "kind": o.GetKind(), "spec": spec}}
	foreigner.SetName(gateway.RequestName(f, 2))
	_, err = j.requests().Create(t.Context(), foreigner, metav1.CreateOptions{})
	must(t, err)
}

// events of the cluster become requests, and how far they were read is kept.
func (j *job) events(t *testing.T) (goOn bool) {
	t.Helper()
	return j.step(t, "that an Event is taken", func() bool {
		list, err := j.requests().List(t.Context(), metav1.ListOptions{})
		must(t, err)
		return slices.ContainsFunc(list.Items, func(o unstructured.Unstructured) bool {
			kind, _, _ := unstructured.NestedString(o.Object, "spec", "signalType")
			return kind == "kubernetes-event"
		})
	}) && j.step(t, "that the canary is written anew and the checkpoint kept", func() bool {
		return j.used(t, right{"update", "", "events", ""}) && j.used(t, right{"update", "", "configmaps", "gateway-events-k8s-event"})
	})
}

func (j *job) account() string { return "system:serviceaccount:" + j.namespace + ":gateway" }

// used reports whether the gateway has made use of a right.
func (j *job) used(t *testing.T, r right) bool {
	t.Helper()
	return slices.ContainsFunc(j.uses(t, j.account()), func(u use) bool { return !u.denied && r.covers(u.right) })
}
