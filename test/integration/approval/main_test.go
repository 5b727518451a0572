// Package approval tests who may decide on a remediation that waits for
// approval, and what becomes of decisions, on a real API server with accounts to
// which RBAC applies.
package approval

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"kubernaut.io/gateway"
	"kubernaut.io/gateway/api/v1alpha1"
	"kubernaut.io/gateway/kube"
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

// resources is what the policy is about.
var resources = v1alpha1.GroupVersion.WithResource(v1alpha1.Resource)

// account is a service account of a namespace, to which RBAC applies.
type account struct {
	name   string
	rest   *rest.Config
	client dynamic.ResourceInterface
}

// rule grants verbs on requests, or on their status.
func rule(resource string, verbs ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{APIGroups: []string{v1alpha1.GroupVersion.Group}, Resources: []string{resource}, Verbs: verbs}
}

const (
	requests = v1alpha1.Resource
	statuses = v1alpha1.Resource + "/status"
)

// What the parties may do.
var (
	asGateway    = []rbacv1.PolicyRule{rule(requests, "create", "get", "list", "watch", "delete"), rule(statuses, "patch")}
	asController = []rbacv1.PolicyRule{rule(requests, "get", "list", "watch"), rule(statuses, "get", "patch", "update")}
	asApprover   = []rbacv1.PolicyRule{rule(requests, "get", "list", "approve"), rule(statuses, "patch", "update")}
)

// mustAccount returns a new account of a namespace with these rights there.
func mustAccount(tb testing.TB, namespace, name string, rules ...rbacv1.PolicyRule) *account {
	tb.Helper()
	ctx := tb.Context()
	object := metav1.ObjectMeta{Name: name, Namespace: namespace}
	_, err := shared.Core.CoreV1().ServiceAccounts(namespace).Create(ctx, &corev1.ServiceAccount{ObjectMeta: object}, metav1.CreateOptions{})
	must(tb, err)
	_, err = shared.Core.RbacV1().Roles(namespace).Create(ctx, &rbacv1.Role{ObjectMeta: object, Rules: rules}, metav1.CreateOptions{})
	must(tb, err)
	_, err = shared.Core.RbacV1().RoleBindings(namespace).Create(ctx, &rbacv1.RoleBinding{
		ObjectMeta: object,
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: name},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: name}},
	}, metav1.CreateOptions{})
	must(tb, err)
	token, err := shared.Core.CoreV1().ServiceAccounts(namespace).CreateToken(ctx, name, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	must(tb, err)
	a := &account{name: "system:serviceaccount:" + namespace + ":" + name, rest: rest.AnonymousClientConfig(shared.REST)}
	a.rest.BearerToken = token.Status.Token
	client, err := dynamic.NewForConfig(a.rest)
	must(tb, err)
	a.client = client.Resource(resources).Namespace(namespace)
	harness.Eventually(tb, "the rights of "+name+" hold", func() bool {
		// Who may do nothing else may read what is not there.
		_, err := a.client.Get(ctx, "none", metav1.GetOptions{})
		return err != nil && strings.Contains(err.Error(), "not found")
	})
	return a
}

// patch sends a patch of a status, as JSON.
func (a *account) patch(ctx context.Context, name string, kind types.PatchType, body string) (*unstructured.Unstructured, error) {
	return a.client.Patch(ctx, name, kind, []byte(body), metav1.PatchOptions{FieldManager: "test"}, "status")
}

// say writes the condition Approved by a merge patch, as kubectl does.
func (a *account) say(ctx context.Context, name, status, reason, message string) error {
	_, err := a.patch(ctx, name, types.MergePatchType, `{"status":{"conditions":[`+condition(status, reason, message)+`]}}`)
	return err
}

func condition(status, reason, message string) string {
	return fmt.Sprintf(`{"type":"Approved","status":%q,"reason":%q,"message":%q,"lastTransitionTime":%q}`,
		status, reason, message, time.Now().UTC().Format(time.RFC3339))
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// inForce waits until the API server obeys the policy, which it does a moment
// after it was installed. Where it never does the tests say so.
var inForce = sync.OnceFunc(func() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	all := shared.Dynamic.Resource(resources).Namespace("default")
	rr := request("default", gateway.Conservative)
	if _, err := all.Create(ctx, rr, metav1.CreateOptions{}); err != nil {
		panic(err)
	}
	body := []byte(`{"status":{"conditions":[` + condition("True", "Approved", "by nobody") + `]}}`)
	for {
		_, err := all.Patch(ctx, rr.GetName(), types.MergePatchType, body, metav1.PatchOptions{DryRun: []string{metav1.DryRunAll}}, "status")
		if err != nil {
			return
		}
		<-time.After(20 * time.Millisecond)
	}
})

// request returns an object that no gateway's index takes for its own.
func request(namespace string, path gateway.Path) *unstructured.Unstructured {
	name := "rr-" + strings.ToLower(rand.String(10))
	at := metav1.NewMicroTime(time.Now())
	u, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&v1alpha1.RemediationRequest{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: v1alpha1.Kind},
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: v1alpha1.RemediationRequestSpec{
			SignalFingerprint: fmt.Sprintf("%064x", time.Now().UnixNano()), SignalName: "PodCrashLooping", Severity: "critical",
			Environment: "production", Priority: "P0", RemediationPath: string(path), SignalType: "prometheus-alert",
			SignalSource: "prometheus", TargetType: "kubernetes", FiringTime: at, ReceivedTime: at, Sequence: 1, Attempt: 1,
			TargetResource: &v1alpha1.ResourceReference{APIVersion: "v1", Kind: "Pod", Namespace: "shop", Name: "cart-1"},
		},
	})
	if err != nil {
		panic(err)
	}
	return &unstructured.Unstructured{Object: u}
}

// mustRequest creates such an object and returns its name.
func mustRequest(tb testing.TB, namespace string, path gateway.Path) string {
	tb.Helper()
	inForce()
	rr, err := shared.Dynamic.Resource(resources).Namespace(namespace).Create(tb.Context(), request(namespace, path), metav1.CreateOptions{})
	must(tb, err)
	return rr.GetName()
}

// get returns a request as the API server has it.
func get(tb testing.TB, namespace, name string) *v1alpha1.RemediationRequest {
	tb.Helper()
	u, err := shared.Dynamic.Resource(resources).Namespace(namespace).Get(context.Background(), name, metav1.GetOptions{})
	must(tb, err)
	rr := new(v1alpha1.RemediationRequest)
	must(tb, runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, rr))
	return rr
}

// approved returns the condition Approved, the zero condition where there is
// none.
func approved(rr *v1alpha1.RemediationRequest) metav1.Condition {
	if c := meta.FindStatusCondition(rr.Status.Conditions, v1alpha1.ConditionApproved); c != nil {
		return *c
	}
	return metav1.Condition{}
}

// counter counts the writes of a sink.
type counter struct {
	mu     sync.Mutex
	writes map[string]int
}

func (c *counter) Created(time.Duration, error) {}
func (c *counter) Disputed(string)              {}

func (c *counter) Wrote(verb, code string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.writes == nil {
		c.writes = make(map[string]int)
	}
	c.writes[verb+" "+code]++
}

func (c *counter) count(what string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.writes[what]
}

// mustSink runs a gateway's sink, in the name of an account, until the test ends.
func mustSink(tb testing.TB, by *account, namespace string, expiry time.Duration) (*kube.Sink, *counter) {
	tb.Helper()
	inForce()
	writes := new(counter)
	s, err := kube.New(kube.Options{
		REST: by.rest, Namespace: namespace, LateFiring: 2 * time.Minute, FlushInterval: 50 * time.Millisecond, FlushRate: 1000,
		MaxMembers: 5000, RecentWindow: time.Minute, ApprovalExpiry: expiry,
		Observer: writes, Logger: slog.New(slog.DiscardHandler),
	})
	must(tb, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	tb.Cleanup(func() {
		cancel()
		stop, release := context.WithTimeout(context.Background(), 10*time.Second)
		defer release()
		if err := <-done; err != nil {
			tb.Error(err)
		}
		if err := s.Stop(stop); err != nil {
			tb.Error(err)
		}
	})
	<-s.Synced()
	return s, writes
}

// mustOrder has a sink create a request for a signal that no other test uses.
func mustOrder(tb testing.TB, s *kube.Sink, path gateway.Path) (*gateway.Signal, *gateway.Request) {
	tb.Helper()
	signal := &gateway.Signal{
		Name: "PodCrashLooping", Severity: "critical", Type: gateway.TypePrometheusAlert, Source: "prometheus",
		Resource: gateway.Resource{APIVersion: "v1", Kind: "Pod", Namespace: "shop", Name: "cart-" + rand.String(10)},
		Labels:   map[string]string{"alertname": "PodCrashLooping"}, Payload: []byte(`{}`),
		StartsAt: time.Now().Add(-time.Minute), ReceivedAt: time.Now(),
	}
	signal.Normalize(gateway.Identity{})
	must(tb, signal.Err)
	r, err := s.Create(tb.Context(), &gateway.Order{
		Fingerprint: signal.Fingerprint, Sequence: 1, Attempt: 1, Signal: signal,
		Environment: gateway.Environment{Name: gateway.Production, From: "test"},
		Priority:    gateway.P0, Path: path, Reason: gateway.ReasonNewEpisode,
	})
	must(tb, err)
	return signal, r
}
