package attack

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/validation"
)

var requestName = regexp.MustCompile(`^rr-[0-9a-f]{40}$`)

// mustMake posts an alert with labels and returns the object that the API server
// has of it, whose metadata has to be the gateway's alone.
func (w *world) mustMake(t *testing.T, pod string, more ...string) unstructured.Unstructured {
	t.Helper()
	name := unique()
	w.plain.mustPost(t, "open", alert(name, pod, more...)).mustBe(t, 201)
	made := w.plain.mustHaveOne(t, name)
	if !requestName.MatchString(made.GetName()) || made.GetNamespace() != w.plain.namespace || len(made.GetAnnotations())+len(made.GetOwnerReferences())+len(made.GetFinalizers()) > 0 {
		t.Errorf("made is %v", made.Object["metadata"])
	}
	for key, value := range made.GetLabels() {
		if len(validation.IsValidLabelValue(value)) > 0 {
			t.Errorf("label %s is %q", key, value)
		}
	}
	return made
}

// ownLabels are those that the gateway gives a request that is no storm's.
var ownLabels = []string{"app.kubernetes.io/managed-by", "kubernaut.io/environment", "kubernaut.io/priority", "kubernaut.io/severity", "kubernaut.io/signal-type"}

func mustHaveLabels(t *testing.T, made unstructured.Unstructured, more ...string) {
	t.Helper()
	want := slices.Sorted(slices.Values(append(more, ownLabels...)))
	if got := slices.Sorted(maps.Keys(made.GetLabels())); !slices.Equal(got, want) {
		t.Errorf("labels %v, want %v", got, want)
	}
	if got := made.GetLabels()["app.kubernetes.io/managed-by"]; got != "gateway" {
		t.Errorf("managed by %q", got)
	}
}

var objectAttacks = []attack{
	{
		name: "label injection", does: "alert labels with the keys of the gateway's own: managed-by, storm, priority, owner", must: "the object's labels are the gateway's alone",
		run: func(t *testing.T, w *world) {
			made := w.mustMake(t, "cart", "app.kubernetes.io/managed-by", "evil", "kubernaut.io/storm", "true", "kubernaut.io/priority", "P0", "kubernaut.io/approved", "true")
			mustHaveLabels(t, made)
			if got := made.GetLabels()["kubernaut.io/priority"]; got == "P0" {
				t.Errorf("priority %q", got)
			}
		},
	},
	{
		name: "label value injection", does: "severities with quotes, commas, line breaks, NUL, 50 letters of other scripts", must: "label values are valid, and add no label",
		run: func(t *testing.T, w *world) {
			for _, severity := range []string{`a",kubernaut.io/x: "y`, "a\nb: c", "a=b,c in (d)", "\u202ea", strings.Repeat("é", 25), "-a-", "{{.}}", "../x"} {
				mustHaveLabels(t, w.mustMake(t, "cart", "severity", severity))
			}
		},
	},
	{
		name: "annotation injection", does: "annotations with the keys of kubectl, of controllers and of the gateway's own orders", must: "they are text in the spec; metadata has none",
		run: func(t *testing.T, w *world) {
			name := unique()
			body := webhook(map[string]any{"labels": map[string]string{"alertname": name}, "annotations": map[string]string{
				"kubectl.kubernetes.io/last-applied-configuration": "{}", "kubernaut.io/remediation": "active", "kubernaut.io/approved-by": "ana", "description": "x\n---\nkind: Pod",
			}})
			w.plain.mustPost(t, "open", body).mustBe(t, 201)
			made := w.plain.mustHaveOne(t, name)
			if len(made.GetAnnotations()) > 0 {
				t.Errorf("annotations %v", made.GetAnnotations())
			}
			if kept, _, _ := unstructured.NestedStringMap(made.Object, "spec", "signalAnnotations"); len(kept) != 4 {
				t.Errorf("kept are %v", kept)
			}
		},
	},
	{
		name: "policy label injection", does: "a policy hands on a label that the sender names: reserved, malformed, then a fair one", must: "only the fair one is on the object",
		run: func(t *testing.T, w *world) {
			for _, key := range []string{"kubernaut.io/storm", "x.kubernaut.io/a", "app.kubernetes.io/managed-by", "a b", "../a", strings.Repeat("a", 64), "a/b/c", "A.example/b\n"} {
				mustHaveLabels(t, w.mustMake(t, "cart", "key", key, "value", "v"))
			}
			mustHaveLabels(t, w.mustMake(t, "cart", "key", "team", "value", `v",x: "y`))
			mustHaveLabels(t, w.mustMake(t, "cart", "key", "team", "value", "shop"), "team")
		},
	},
	{
		name: "object name injection", does: "pods and namespaces with paths, query strings, spaces, NUL, and the names of other requests", must: "the request's name and namespace are the gateway's; no such object is a target",
		run: func(t *testing.T, w *world) {
			for _, evil := range []string{"../../secrets/x", "a/b", "a?x=y", "a%2fb", "a b", ".", "..", "a\x00b", "A_B", strings.Repeat("a", 300), "-a"} {
				for _, made := range []unstructured.Unstructured{w.mustMake(t, evil), w.mustMake(t, "cart", "namespace", evil)} {
					target, found, _ := unstructured.NestedStringMap(made.Object, "spec", "targetResource")
					if found && (target["name"] == evil || target["namespace"] == evil) {
						t.Errorf("%q is a target: %v", evil, target)
					}
				}
			}
		},
	},
	{
		name: "namespace of another", does: "an alert about kube-system and about the gateway's own namespace, with bold labels", must: "path manual",
		run: func(t *testing.T, w *world) {
			for _, namespace := range []string{"kube-system", w.plain.namespace} {
				made := w.mustMake(t, "etcd", "namespace", namespace, "environment", "development", "env", "development")
				if got := text(made, "spec", "remediationPath"); namespace == "kube-system" && got != "manual" || got == "aggressive" && namespace == "kube-system" {
					t.Errorf("path %q in %s", got, namespace)
				}
			}
		},
	},
	{
		name: "environment injection", does: "environment labels that are no RFC 1123 label, and some that look like production", must: "a valid label; what is none is unknown, and its path manual",
		run: func(t *testing.T, w *world) {
			for _, environment := range []string{"pro duction", "production\x00", "../production", "développement", strings.Repeat("a", 64), "deve\u200dlopment"} {
				made := w.mustMake(t, "cart", "environment", environment)
				if got := text(made, "spec", "environment"); got != "unknown" || text(made, "spec", "remediationPath") != "manual" {
					t.Errorf("%q is %q, path %q", environment, got, text(made, "spec", "remediationPath"))
				}
			}
		},
	},
	{
		name: "fingerprint collision", does: "pairs of signals whose fields are the same when put together", must: "each has a request of its own",
		run: func(t *testing.T, w *world) {
			name := unique()
			var bodies []string
			for _, pair := range [][2]string{{"a", "bc"}, {"ab", "c"}, {"a-b", "c"}, {"a", "b-c"}} {
				bodies = append(bodies, alert(name, pair[1], "namespace", pair[0]))
			}
			for _, body := range bodies {
				w.plain.mustPost(t, "open", body).mustBe(t, 201)
			}
			if found := w.plain.requests(t, name); len(found) != len(bodies) {
				t.Errorf("%d requests for %d signals", len(found), len(bodies))
			}
		},
	},
	{
		name: "large object", does: "labels and annotations of 900 kB together", must: "the object has 64 KiB of them at most, marked as cut",
		run: func(t *testing.T, w *world) {
			made := w.mustMake(t, "cart", "description", strings.Repeat("ü", 400_000))
			labels, _, _ := unstructured.NestedStringMap(made.Object, "spec", "signalLabels")
			if n := len(labels["description"]); n > 64<<10 || !strings.HasSuffix(labels["description"], "…[cut]") {
				t.Errorf("%d bytes are kept", n)
			}
			if n := len(text(made, "spec", "originalPayload")); n > 8<<10 {
				t.Errorf("%d bytes of the payload are kept", n)
			}
		},
	},
	{
		name: "secrets in a payload", does: "a password, a token in a URL and a cookie in labels", must: "they are not in the log",
		run: func(t *testing.T, w *world) {
			w.mustMake(t, "cart", "db_password", "hidden-7731", "url", "https://u:hidden-7731@host/", "Set-Cookie", "s=hidden-7731")
			if strings.Contains(w.plain.read(t, "gateway.log"), "hidden-7731") {
				t.Error("a secret is in the log")
			}
		},
	},
	{
		name: "templates", does: "names and labels with what Go's formats and templates, shells, Rego and SQL would act on", must: "they are kept as they are",
		run: func(t *testing.T, w *world) {
			for i, evil := range []string{"%s%n%d", "{{.Env}}", "$(id)`id`", "'; DROP TABLE x;--", "${jndi:ldap://x}", "\\u0000"} {
				name := fmt.Sprintf("%s %d %s", unique(), i, evil)
				w.plain.mustPost(t, "open", alert(name, "cart")).mustBe(t, 201)
				w.plain.mustHaveOne(t, name)
			}
		},
	},
	{
		name: "loop", does: "an alert about a RemediationRequest of the gateway's own", must: "it makes no request",
		run: func(t *testing.T, w *world) {
			name := unique()
			w.plain.mustPost(t, "events", `{"apiVersion":"v1","kind":"Event","metadata":{"name":"e","namespace":"`+w.plain.namespace+`"},"type":"Warning","reason":"`+name+`","involvedObject":{"apiVersion":"remediation.kubernaut.io/v1alpha1","kind":"RemediationRequest","namespace":"`+w.plain.namespace+`","name":"rr-1"},"message":"m","lastTimestamp":"2026-03-02T08:14:22Z"}`).mustBe(t, 202)
			w.plain.mustHaveNone(t, name)
		},
	},
}
