// Package credentials proves who may send and who may not, as senders meet it:
// the executable on real listeners, real clients and Alertmanagers, tokens and
// rights of a real Kubernetes API.
package credentials

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"kubernaut.io/gateway/test/cluster"
	"kubernaut.io/gateway/test/fleet"
	"kubernaut.io/gateway/test/harness"
	"kubernaut.io/gateway/test/pki"
)

var (
	// shared and server are the API server of all tests here.
	shared *harness.Cluster
	server *cluster.Cluster
	// binary is the gateway, built with the race detector.
	binary string
)

func TestMain(m *testing.M) {
	os.Exit(cluster.Main(m, func(c *cluster.Cluster) error {
		server, binary = c, filepath.Join(c.DataDir(), "gateway-under-test") // goes with the cluster
		out, err := exec.Command("go", "build", "-race", "-o", binary, "kubernaut.io/gateway/cmd/gateway").CombinedOutput()
		if err != nil {
			return fmt.Errorf("build gateway: %w\n%s", err, out)
		}
		shared, err = harness.NewCluster(c.Kubeconfig())
		return err
	}))
}

// lastHost is the last byte of the last gateway's address.
var lastHost atomic.Int32

// place is where a gateway is, with the files that its configuration names.
type place struct {
	dir, host, namespace string
	// authority has signed the gateway's certificate.
	authority *pki.Authority
}

// mustPlace returns a new place, with tls.crt and tls.key for its address.
func mustPlace(t *testing.T) *place {
	t.Helper()
	p := &place{dir: t.TempDir(), host: fleet.Loopback(byte(10 + lastHost.Add(1))), namespace: shared.NewNamespace(t)}
	p.authority = pki.MustAuthority(t, "servers", nil)
	p.mustCertify(t, time.Hour)
	p.write(t, "servers.pem", string(p.authority.PEM))
	return p
}

// mustCertify gives the gateway a new certificate.
func (p *place) mustCertify(t *testing.T, lasts time.Duration) {
	t.Helper()
	pair := p.authority.MustIssue(t, pki.Names{Server: true, IPs: []string{p.host}, NotAfter: time.Now().Add(lasts)})
	pair.MustWrite(t, p.path("tls.crt"), p.path("tls.key"))
}

func (p *place) path(name string) string { return filepath.Join(p.dir, name) }

// write replaces a file, as what edits files does: by another that is whole.
func (p *place) write(t *testing.T, name, text string) string {
	t.Helper()
	path := p.path(name)
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
	return path
}

// config writes a configuration, in which HOST and DIR stand for the place's,
// and returns its file.
func (p *place) config(t *testing.T, text string) string {
	t.Helper()
	text = strings.NewReplacer("HOST", p.host, "DIR", p.dir).Replace(text)
	if !strings.Contains(text, "kubernetes: {kubeconfig") {
		text += fmt.Sprintf("kubernetes: {kubeconfig: %q}\n", server.Kubeconfig())
	}
	return p.write(t, "gateway.yaml", text+fmt.Sprintf("namespace: %s\nshutdownDelay: 0s\nstorm: {rate: {threshold: 0}, pattern: {threshold: 0}}\n", p.namespace))
}

// gateway is a running gateway.
type gateway struct {
	*fleet.Process
	place *place
	log   string
	// client trusts the gateway's authority.
	client *http.Client
	// url and admin are where it serves.
	url, admin string
}

// start runs a gateway until the test ends, and waits until it is ready.
func (p *place) start(t *testing.T, text string) *gateway {
	t.Helper()
	g := &gateway{place: p, log: p.path("gateway.log"), url: "http://" + p.host + ":8080", admin: "http://" + p.host + ":9090"}
	if strings.Contains(text, "tls.crt") {
		g.url = "https://" + p.host + ":8080"
	}
	if _, admin, _ := strings.Cut(text, "admin:"); strings.Contains(strings.SplitN(admin, "sources:", 2)[0], "tls.crt") {
		g.admin = "https://" + p.host + ":9090"
	}
	g.client = p.client()
	g.Process = fleet.NewProcess("gateway", g.log, binary, "serve", "--config", p.config(t, text))
	if err := g.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { g.end(t) })
	harness.Eventually(t, "the gateway is ready", func() bool {
		status, _, err := g.get("/readyz")
		return err == nil && status == http.StatusOK
	})
	return g
}

func (g *gateway) end(t *testing.T) {
	t.Helper()
	if err := g.Terminate(); err != nil {
		t.Error(err)
	}
	complaints, err := g.Complaints()
	if err != nil || len(complaints) > 0 {
		t.Errorf("the gateway complained: %q (%v)", complaints, err)
	}
	if t.Failed() {
		t.Logf("the gateway wrote\n%s", g.said(t))
	}
}

// said returns what the gateway has logged.
func (g *gateway) said(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(g.log)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// client returns one that trusts the place's authority and shows a certificate,
// if it has one, whomever the gateway asks for.
func (p *place) client(shown ...tls.Certificate) *http.Client {
	config := &tls.Config{RootCAs: p.authority.Pool(), MinVersion: tls.VersionTLS12}
	if len(shown) > 0 {
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &shown[0], nil }
	}
	return &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{
		TLSClientConfig: config, ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 10,
	}}
}

// get asks the operators' port.
func (g *gateway) get(path string, headers ...string) (int, string, error) {
	request, err := http.NewRequest(http.MethodGet, g.admin+path, nil)
	if err != nil {
		return 0, "", err
	}
	for i := 0; i+1 < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := g.client.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return response.StatusCode, string(text), err
}

// metric returns the value of a series, as it is written, empty for none.
func (g *gateway) metric(t *testing.T, series string, headers ...string) string {
	t.Helper()
	_, text, err := g.get("/metrics", headers...)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(text) {
		if value, found := strings.CutPrefix(line, series+" "); found {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// answer is what a sender is told.
type answer struct {
	status int
	header http.Header
	body   string
}

// send posts an alert to a source with headers, given as names and values in
// turn.
func (g *gateway) send(client *http.Client, source, body string, headers ...string) (answer, error) {
	request, err := http.NewRequest(http.MethodPost, g.url+"/webhook/"+source, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	request.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(headers); i += 2 {
		request.Header.Add(headers[i], headers[i+1])
	}
	response, err := client.Do(request)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return answer{response.StatusCode, response.Header, string(text)}, err
}

// mustSend is send where no answer is a failure.
func (g *gateway) mustSend(t *testing.T, client *http.Client, source, body string, headers ...string) answer {
	t.Helper()
	a, err := g.send(client, source, body, headers...)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func bearer(token string) []string { return []string{"Authorization", "Bearer " + token} }

func basic(user, password string) []string {
	r, _ := http.NewRequest(http.MethodGet, "/", nil) // the URL is a good one
	r.SetBasicAuth(user, password)
	return []string{"Authorization", r.Header.Get("Authorization")}
}

// user is a line of an htpasswd file.
func user(t *testing.T, name, password string) string {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return name + ":" + string(hash) + "\n"
}

var lastAlert atomic.Int64

// alert is a webhook with an alert of an episode of its own.
func alert() string {
	return fmt.Sprintf(`{"version":"4","status":"firing","alerts":[{"status":"firing","labels":{"alertname":"Full","severity":"warning",`+
		`"namespace":"shop","pod":"cart-%d"},"startsAt":"2026-03-02T08:14:22Z"}]}`, lastAlert.Add(1))
}

// refuses runs the gateway and returns what it says when it refuses to start.
func (p *place) refuses(t *testing.T, text string, command ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), binary, append(command, p.config(t, text))...).CombinedOutput()
	exit, ended := errors.AsType[*exec.ExitError](err)
	if !ended || exit.ExitCode() != 2 {
		t.Errorf("%v ended with %v, want exit status 2", command, err)
	}
	return strings.ReplaceAll(strings.ReplaceAll(string(out), p.dir, "DIR"), p.host, "HOST")
}
