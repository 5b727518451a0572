package attack

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"kubernaut.io/gateway/api/v1alpha1"
	"kubernaut.io/gateway/test/fleet"
	"kubernaut.io/gateway/test/harness"
	"kubernaut.io/gateway/test/pki"
)

const (
	tokenA, tokenB = "token-of-source-a-0123456789", "token-of-source-b-0123456789"
	secret         = "secret-of-a-source-0123456789"
	password       = "swordfish-of-ana"
	signature      = "X-Webhook-Signature"
	timestamp      = "X-Webhook-Timestamp"
	maxBody        = 1 << 20
)

// world is what is attacked: a gateway without TLS, and one with.
type world struct {
	plain, tls *target
	// clients is the authority of clients, servers that of the gateways.
	clients, servers *pki.Authority
}

const plainConfig = `
webhooks: {address: "HOST:8080", maxBodyBytes: 1048576, requestTimeout: 5s}
admin: {address: "HOST:9090", hosts: [gateway.example.org]}
sources:
- {name: open, format: alertmanager, auth: [{none: {}}]}
- {name: events, format: kubernetes-event, auth: [{none: {}}]}
- {name: grafana, format: grafana, auth: [{none: {}}]}
- {name: cloudevents, format: cloudevents, auth: [{none: {}}]}
- {name: json, format: json, auth: [{none: {}}], mapping: {name: body.name}}
- {name: bearer, format: alertmanager, auth: [{bearer: {tokenFile: DIR/tokens-a}}]}
- {name: other, format: alertmanager, auth: [{bearer: {tokenFile: DIR/tokens-b}}]}
- {name: basic, format: alertmanager, auth: [{basic: {usersFile: DIR/users}}]}
- {name: hmac, format: alertmanager, auth: [{hmac: {secretFile: DIR/secrets}}]}
- {name: timed, format: alertmanager, auth: [{hmac: {secretFile: DIR/secrets, timestampHeader: X-Webhook-Timestamp, tolerance: 1m}}]}
- {name: cluster, format: alertmanager, auth: [{kubernetes: {}}]}
policy: {path: DIR/policy, timeout: 200ms}
audit: {file: DIR/audit.jsonl}
`

const tlsConfig = `
webhooks: {address: "HOST:8080", tls: {certFile: DIR/tls.crt, keyFile: DIR/tls.key, clientCAFile: DIR/clients.pem, required: true}}
admin: {address: "HOST:9090", tls: {certFile: DIR/tls.crt, keyFile: DIR/tls.key}, auth: [{bearer: {tokenFile: DIR/tokens-b}}]}
sources:
- {name: open, format: alertmanager, auth: [{none: {}}]}
- {name: bearer, format: alertmanager, auth: [{bearer: {tokenFile: DIR/tokens-a}}]}
- {name: mtls, format: alertmanager, auth: [{mtls: {allowedSANs: [am.monitoring.svc]}}]}
`

// labelling is a policy that does what a sender tells it to.
const labelling = `package gateway

labels := {input.signal.labels.key: input.signal.labels.value} if input.signal.labels.key
`

func mustWorld(t *testing.T) *world {
	t.Helper()
	w := &world{clients: pki.MustAuthority(t, "clients", nil), servers: pki.MustAuthority(t, "servers", nil)}
	w.plain = w.mustTarget(t, 11, plainConfig)
	w.tls = w.mustTarget(t, 12, tlsConfig)
	return w
}

// target is a running gateway.
type target struct {
	*fleet.Process
	dir, host, namespace string
	// hooks and admin are where it serves, as host:port.
	hooks, admin string
	encrypted    bool
	client       *http.Client
}

func (w *world) mustTarget(t *testing.T, n byte, config string) *target {
	t.Helper()
	g := &target{dir: t.TempDir(), host: fleet.Loopback(n), namespace: shared.NewNamespace(t), encrypted: strings.Contains(config, "tls.crt")}
	g.hooks, g.admin = g.host+":8080", g.host+":9090"
	w.servers.MustIssue(t, pki.Names{Server: true, IPs: []string{g.host}}).MustWrite(t, g.path("tls.crt"), g.path("tls.key"))
	hash, err := bcrypt.GenerateFromPassword([]byte(password), 8)
	must(t, err)
	must(t, os.Mkdir(g.path("policy"), 0o755))
	for name, text := range map[string]string{
		"clients.pem": string(w.clients.PEM), "tokens-a": tokenA, "tokens-b": tokenB, "secrets": secret,
		"users": "ana:" + string(hash), "policy/policy.rego": labelling,
		"gateway.yaml": strings.NewReplacer("HOST", g.host, "DIR", g.dir).Replace(config) + fmt.Sprintf("kubernetes: {kubeconfig: %q}\n"+
			"namespace: %s\nshutdownDelay: 0s\nstorm: {rate: {threshold: 0}, pattern: {threshold: 0}}\n", server.Kubeconfig(), g.namespace),
	} {
		must(t, os.WriteFile(g.path(name), []byte(text), 0o600))
	}
	g.client = &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: w.servers.Pool(), MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 10,
	}}
	g.Process = fleet.NewProcess("gateway", g.path("gateway.log"), binary, "serve", "--config", g.path("gateway.yaml"))
	must(t, g.Start())
	t.Cleanup(func() { g.end(t) })
	harness.Eventually(t, "the gateway is ready", func() bool {
		a, err := g.ask(t, "GET", g.admin, "/readyz", "")
		return err == nil && a.status == http.StatusOK
	})
	return g
}

// end ends the gateway in order, and looks for what no program should print.
func (g *target) end(t *testing.T) {
	t.Helper()
	if err := g.Terminate(); err != nil {
		t.Error(err)
	}
	complaints, err := g.Complaints()
	if err != nil || len(complaints) > 0 {
		t.Errorf("the gateway complained: %q (%v)", complaints, err)
	}
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

func (g *target) path(name string) string { return filepath.Join(g.dir, name) }

func (g *target) read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(g.path(name))
	must(t, err)
	return string(text)
}

// answer is what somebody is told.
type answer struct {
	status int
	header http.Header
	body   string
}

// ask sends a request, with headers given as names and values in turn.
func (g *target) ask(t *testing.T, method, address, path, body string, headers ...string) (answer, error) {
	t.Helper()
	scheme := "http://"
	if g.encrypted {
		scheme = "https://"
	}
	request, err := http.NewRequestWithContext(t.Context(), method, scheme+address+path, strings.NewReader(body))
	must(t, err)
	if method == http.MethodPost {
		request.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		switch headers[i] {
		case "Host":
			request.Host = headers[i+1]
		case "Content-Type":
			request.Header.Set(headers[i], headers[i+1])
		default:
			request.Header.Add(headers[i], headers[i+1])
		}
	}
	return do(g.client, request)
}

func do(client *http.Client, request *http.Request) (answer, error) {
	response, err := client.Do(request)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return answer{response.StatusCode, response.Header, string(text)}, err
}

// mustPost posts to a source, which has to answer.
func (g *target) mustPost(t *testing.T, source, body string, headers ...string) answer {
	t.Helper()
	a, err := g.ask(t, http.MethodPost, g.hooks, "/webhook/"+source, body, headers...)
	must(t, err)
	return a
}

// mustGet asks the operators' port, which has to answer.
func (g *target) mustGet(t *testing.T, path string, headers ...string) answer {
	t.Helper()
	a, err := g.ask(t, http.MethodGet, g.admin, path, "", headers...)
	must(t, err)
	return a
}

// mustBe fails unless the status is one of those wanted.
func (a answer) mustBe(t *testing.T, wanted ...int) {
	t.Helper()
	for _, status := range wanted {
		if a.status == status {
			return
		}
	}
	t.Errorf("answered %d, want %v: %.300s", a.status, wanted, a.body)
}

// mustServeHonestly has a sender with credentials be accepted, at the first try.
func (g *target) mustServeHonestly(t *testing.T) {
	t.Helper()
	began := time.Now()
	g.mustPost(t, "bearer", alert("Honest", "cart"), "Authorization", "Bearer "+tokenA).mustBe(t, 201, 202)
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("an honest sender waited for %v", took)
	}
}

var last atomic.Int64

// unique returns a name that nothing else has.
func unique() string { return "Name" + strconv.FormatInt(last.Add(1), 10) }

// alert is a webhook with an alert about a pod, with more labels given as names
// and values in turn.
func alert(name, pod string, more ...string) string {
	labels := map[string]string{"alertname": name, "severity": "warning", "namespace": "shop", "pod": pod}
	for i := 0; i+1 < len(more); i += 2 {
		labels[more[i]] = more[i+1]
	}
	return webhook(map[string]any{"status": "firing", "labels": labels, "startsAt": "2026-03-02T08:14:22Z"})
}

// webhook is a webhook of alerts.
func webhook(alerts ...any) string {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	// Maps of strings can be encoded.
	_ = encoder.Encode(map[string]any{"version": "4", "status": "firing", "alerts": alerts})
	return b.String()
}

// requests returns the requests for a signal's name, as the API server has them.
func (g *target) requests(t *testing.T, name string) []unstructured.Unstructured {
	t.Helper()
	list, err := shared.Dynamic.Resource(v1alpha1.GroupVersion.WithResource(v1alpha1.Resource)).Namespace(g.namespace).List(t.Context(), metav1.ListOptions{})
	must(t, err)
	var found []unstructured.Unstructured
	for _, one := range list.Items {
		if has, _, _ := unstructured.NestedString(one.Object, "spec", "signalName"); has == name {
			found = append(found, one)
		}
	}
	return found
}

// mustHaveOne returns the one request for a signal's name.
func (g *target) mustHaveOne(t *testing.T, name string) unstructured.Unstructured {
	t.Helper()
	found := g.requests(t, name)
	if len(found) != 1 {
		t.Fatalf("%d requests for %q", len(found), name)
	}
	return found[0]
}

// mustHaveNone fails where something was done about a signal's name.
func (g *target) mustHaveNone(t *testing.T, name string) {
	t.Helper()
	if found := g.requests(t, name); len(found) > 0 {
		t.Errorf("%d requests for %q, which nobody was to send", len(found), name)
	}
}

// text returns a field of a request as text.
func text(u unstructured.Unstructured, path ...string) string {
	value, _, _ := unstructured.NestedString(u.Object, path...)
	return value
}

// memory returns how many bytes of memory the gateway has.
func (g *target) memory(t *testing.T) int64 {
	t.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", g.PID()))
	must(t, err)
	_, rest, _ := strings.Cut(string(raw), "VmRSS:")
	fields := strings.Fields(rest)
	kilobytes, err := strconv.ParseInt(fields[0], 10, 64)
	must(t, err)
	return kilobytes << 10
}

// mustNotGrow fails where an attack has the gateway take more memory than most.
func (g *target) mustNotGrow(t *testing.T, most int64, attack func()) {
	t.Helper()
	before := g.memory(t)
	attack()
	if grown := g.memory(t) - before; grown > most {
		t.Errorf("memory has grown by %d MiB, more than %d MiB", grown>>20, most>>20)
	}
}
