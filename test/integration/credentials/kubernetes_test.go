package credentials

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"kubernaut.io/gateway/kube"
	"kubernaut.io/gateway/test/fleet"
	"kubernaut.io/gateway/test/harness"
)

const withTokens = `
webhooks: {address: "HOST:8080", tls: {certFile: DIR/tls.crt, keyFile: DIR/tls.key}}
admin: {address: "HOST:9090", tls: {certFile: DIR/tls.crt, keyFile: DIR/tls.key}, auth: [{kubernetes: {}}, {bearer: {tokenFile: DIR/tokens}}]}
sources:
- {name: cluster, format: alertmanager, auth: [{kubernetes: {}}]}
- {name: meant, format: alertmanager, auth: [{kubernetes: {audiences: [gateway, other]}}]}
- {name: both, format: alertmanager, auth: [{bearer: {tokenFile: DIR/tokens}}, {kubernetes: {}}]}
`

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// mustAccount makes a service account in a place's namespace.
func (p *place) mustAccount(t *testing.T, name string) {
	t.Helper()
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}}
	_, err := shared.Core.CoreV1().ServiceAccounts(p.namespace).Create(t.Context(), account, metav1.CreateOptions{})
	must(t, err)
}

// mustToken returns a new token of a service account, for audiences or the API
// server.
func (p *place) mustToken(t *testing.T, account string, audiences ...string) string {
	t.Helper()
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{Audiences: audiences}}
	token, err := shared.Core.CoreV1().ServiceAccounts(p.namespace).CreateToken(t.Context(), account, request, metav1.CreateOptions{})
	must(t, err)
	return token.Status.Token
}

// mustAllow lets a service account do something with paths that are no
// resources, as docs/credentials.md says.
func (p *place) mustAllow(t *testing.T, account, verb string, paths ...string) {
	t.Helper()
	meta := metav1.ObjectMeta{Name: p.namespace + "-" + account + "-" + verb}
	role := &rbacv1.ClusterRole{ObjectMeta: meta, Rules: []rbacv1.PolicyRule{{NonResourceURLs: paths, Verbs: []string{verb}}}}
	_, err := shared.Core.RbacV1().ClusterRoles().Create(t.Context(), role, metav1.CreateOptions{})
	must(t, err)
	p.mustBind(t, account, meta.Name, meta.Name)
}

func (p *place) mustBind(t *testing.T, account, role, name string) {
	t.Helper()
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Name: account, Namespace: p.namespace}},
	}
	_, err := shared.Core.RbacV1().ClusterRoleBindings().Create(t.Context(), binding, metav1.CreateOptions{})
	must(t, err)
}

func TestTokensOfTheCluster(t *testing.T) {
	t.Parallel()
	p := mustPlace(t)
	p.write(t, "tokens", tokenA)
	p.mustAccount(t, "sender")
	p.mustAccount(t, "stranger")
	p.mustAllow(t, "sender", "post", "/webhook/cluster", "/webhook/meant")
	g := p.start(t, withTokens)
	token := p.mustToken(t, "sender")
	status := func(source, token string) int {
		return g.mustSend(t, g.client, source, alert(), bearer(token)...).status
	}
	// The authorizer learns of a new binding through a watch of its own.
	harness.Eventually(t, "the right to post", func() bool { return status("cluster", p.mustToken(t, "sender")) == 201 })
	for name, test := range map[string]struct {
		source, token string
		want          int
	}{
		"allowed":                      {"cluster", token, 201},
		"on another source":            {"both", token, 403},
		"without the right":            {"cluster", p.mustToken(t, "stranger"), 403},
		"nobody's":                     {"cluster", strings.Replace(token, ".", ".e", 1), 401},
		"not a token":                  {"cluster", "whatever-it-is", 401},
		"for our audience":             {"meant", p.mustToken(t, "sender", "gateway"), 201},
		"for another and ours":         {"meant", p.mustToken(t, "sender", "elsewhere", "other"), 201},
		"for the API server, not us":   {"meant", token, 401},
		"for us, not the API server":   {"cluster", p.mustToken(t, "sender", "gateway"), 401},
		"for somebody else":            {"meant", p.mustToken(t, "sender", "elsewhere"), 401},
		"a token of a file beside":     {"both", tokenA, 201},
		"a token of a file, elsewhere": {"cluster", tokenA, 401},
	} {
		if got := status(test.source, test.token); got != test.want {
			t.Errorf("%s: %d, want %d", name, got, test.want)
		}
	}
	if log := g.said(t); strings.Contains(log, token) || !strings.Contains(log, "system:serviceaccount:"+p.namespace+":stranger has no right to post /webhook/cluster") {
		t.Error("the log has a token, or lacks the name of who may not")
	}
}

// The API server is asked once a minute about a token at most, and what was good
// goes on while it is away; what nobody knows is told to come again.
func TestTheAPIServerIsNotAskedForEachRequest(t *testing.T) {
	t.Parallel()
	p := mustPlace(t)
	p.write(t, "tokens", tokenA)
	p.mustAccount(t, "sender")
	p.mustAllow(t, "sender", "post", "/webhook/*")
	link, err := fleet.NewLink(p.host+":6443", server.Address())
	must(t, err)
	t.Cleanup(func() { _ = link.Close() })
	through := p.path("kubeconfig")
	c, err := clientcmd.LoadFromFile(server.Kubeconfig())
	must(t, err)
	for _, cluster := range c.Clusters {
		host, _, _ := strings.Cut(server.Address(), ":")
		cluster.Server, cluster.TLSServerName = "https://"+link.Address(), host
	}
	must(t, clientcmd.WriteToFile(*c, through))
	g := p.start(t, withTokens+fmt.Sprintf("kubernetes: {kubeconfig: %q}\n", through))
	token, late := p.mustToken(t, "sender"), p.mustToken(t, "sender", "https://kubernetes.default.svc", "late")
	body := alert()
	status := func(token string) int { return g.mustSend(t, g.client, "cluster", body, bearer(token)...).status }
	harness.Eventually(t, "the right to post", func() bool { return status(token)/100 == 2 })
	must(t, link.Set(fleet.Refuse))
	began := time.Now()
	for range 200 {
		if got := status(token); got/100 != 2 {
			t.Fatalf("a token that was good is answered %d, %v into the outage", got, time.Since(began))
		}
	}
	if a := g.mustSend(t, g.client, "cluster", body, bearer(late)...); a.status != 503 || a.header.Get("Retry-After") == "" ||
		!strings.Contains(a.body, "credentials can't be checked now") {
		t.Errorf("a token that nobody knows is answered %d %s", a.status, a.body)
	}
	if n := g.metric(t, `gateway_auth_failures_total{kind="kubernetes",reason="unavailable",source="cluster"}`, bearer(tokenA)...); n != "1" {
		t.Errorf("%s failures were counted", n)
	}
	if got := g.mustSend(t, g.client, "both", body, bearer(tokenA)...).status; got/100 != 2 {
		t.Errorf("a token of a file is answered %d", got)
	}
	must(t, link.Set(fleet.Fair))
	harness.Eventually(t, "an answer", func() bool { return status(late) == 401 || status(late)/100 == 2 })
}

// The gateway's account needs the rights of system:auth-delegator, and who lacks
// them is told so.
func TestTheGatewayNeedsTheRightToAsk(t *testing.T) {
	t.Parallel()
	p := mustPlace(t)
	p.mustAccount(t, "gateway")
	own := rest.AnonymousClientConfig(shared.REST)
	own.BearerToken = p.mustToken(t, "gateway")
	reviewer, err := kube.NewReviewer(own, nil)
	must(t, err)
	if _, _, err := reviewer.Review(t.Context(), own.BearerToken, "post", "/webhook/a"); !apierrors.IsForbidden(err) || strings.Contains(err.Error(), own.BearerToken) {
		t.Errorf("without the right: %v", err)
	}
	p.mustBind(t, "gateway", "system:auth-delegator", p.namespace+"-delegator")
	harness.Eventually(t, "the right to ask", func() bool {
		user, allowed, err := reviewer.Review(t.Context(), own.BearerToken, "post", "/webhook/a")
		return err == nil && user == "system:serviceaccount:"+p.namespace+":gateway" && !allowed
	})
}

// The operators' port asks for credentials, but not those who look whether the
// gateway is alive.
func TestOperatorsPort(t *testing.T) {
	t.Parallel()
	p := mustPlace(t)
	p.write(t, "tokens", tokenA)
	p.mustAccount(t, "prometheus")
	p.mustAllow(t, "prometheus", "get", "/metrics")
	g := p.start(t, withTokens)
	token := p.mustToken(t, "prometheus")
	status := func(path string, headers ...string) int {
		t.Helper()
		got, _, err := g.get(path, headers...)
		must(t, err)
		return got
	}
	harness.Eventually(t, "the right to get", func() bool { return status("/metrics", bearer(p.mustToken(t, "prometheus"))...) == 200 })
	for _, test := range []struct {
		path    string
		headers []string
		want    int
	}{
		{"/healthz", nil, 200},
		{"/readyz", nil, 200},
		{"/metrics", nil, 401},
		{"/", nil, 401},
		{"/nothing", nil, 401},
		{"/healthz/", nil, 401},
		{"/api/v1/explain/rr-0", nil, 401},
		{"/metrics", bearer(tokenB), 401},
		{"/metrics", bearer(tokenA), 200},
		{"/", bearer(tokenA), 200},
		{"/nothing", bearer(tokenA), 404},
		{"/metrics", bearer(token), 200},
		{"/", bearer(token), 403},
	} {
		if got := status(test.path, test.headers...); got != test.want {
			t.Errorf("%s with %q: %d, want %d", test.path, test.headers, got, test.want)
		}
	}
	if n := g.metric(t, `gateway_auth_failures_total{kind="any",reason="missing",source="_admin"}`, bearer(tokenA)...); n != "5" {
		t.Errorf("%s failures without credentials were counted", n)
	}
	out, err := exec.CommandContext(t.Context(), binary, "explain", "rr-0", "--admin", g.admin, "--token-file", p.path("tokens"), "--ca-file", p.path("servers.pem")).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "rr-0: ") || strings.Contains(string(out), "credentials") {
		t.Errorf("gateway explain says %s (%v)", out, err)
	}
	if n := g.metric(t, `gateway_certificate_expiry_timestamp_seconds{listener="admin"}`, bearer(tokenA)...); n == "0" {
		t.Error("admin's certificate never expires")
	}
}
