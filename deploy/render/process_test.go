package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/yaml"
)

// senderToken is what a source's file of tokens holds.
const senderToken = "0123456789abcdef0123456789abcdef"

// gatewayProcess is a gateway that runs as a pod of the manifests would, but for
// its addresses.
type gatewayProcess struct {
	cmd    *exec.Cmd
	config string // its file
	said   *tail
	exited chan struct{}

	// Where it listens, once it is ready.
	webhooks, admin string
}

// tail keeps what is written to it. It is safe for concurrent use.
type tail struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *tail) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *tail) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// workload returns the pod of the gateway among objects.
func workload(tb testing.TB, objects []*unstructured.Unstructured) *corev1.PodSpec {
	tb.Helper()
	for _, o := range objects {
		if o.GetName() != "gateway" || o.GetKind() != "StatefulSet" && o.GetKind() != "Deployment" {
			continue
		}
		template, _, err := unstructured.NestedMap(o.Object, "spec", "template", "spec")
		must(tb, err)
		spec := new(corev1.PodSpec)
		must(tb, runtime.DefaultUnstructuredConverter.FromUnstructured(template, spec))
		return spec
	}
	tb.Fatal("no gateway among the objects")
	return nil
}

// mustMount puts what a pod's container has mounted below a folder, and returns
// what turns the container's paths into those.
func mustMount(tb testing.TB, dir string, pod *corev1.PodSpec, objects []*unstructured.Unstructured) func(string) string {
	tb.Helper()
	volumes := make(map[string]corev1.Volume)
	for _, v := range pod.Volumes {
		volumes[v.Name] = v
	}
	var inside []string
	for _, m := range pod.Containers[0].VolumeMounts {
		at := filepath.Join(dir, m.MountPath)
		must(tb, os.MkdirAll(at, 0o700))
		inside = append(inside, m.MountPath, at)
		files := make(map[string]string)
		switch v := volumes[m.Name]; {
		case v.ConfigMap != nil:
			files, _, _ = unstructured.NestedStringMap(find(tb, objects, "ConfigMap", v.ConfigMap.Name).Object, "data")
		case v.Secret != nil:
			cert, key := mustCertificate(tb)
			files = map[string]string{
				"prometheus": senderToken, "password": "secret", "tls.crt": cert, "tls.key": key, "ca.crt": cert,
			}
		}
		for name, text := range files {
			must(tb, os.WriteFile(filepath.Join(at, name), []byte(text), 0o600))
		}
	}
	return strings.NewReplacer(inside...).Replace
}

// mustCertificate returns a certificate and its key in PEM.
func mustCertificate(tb testing.TB) (cert, key string) {
	tb.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(tb, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"gateway-service"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	must(tb, err)
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	must(tb, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}))
}

// start checks the configuration of a gateway's pod and runs it, as its
// ServiceAccount. What is changed of its configuration are paths, addresses, and
// keys on top.
func (w *world) start(tb testing.TB, objects []*unstructured.Unstructured, namespace string, changes ...func(map[string]any)) *gatewayProcess {
	tb.Helper()
	pod, dir := workload(tb, objects), tb.TempDir()
	outside := mustMount(tb, dir, pod, objects)
	var arguments []string
	for _, a := range pod.Containers[0].Args {
		arguments = append(arguments, outside(a))
	}
	g := &gatewayProcess{config: arguments[len(arguments)-1], said: new(tail), exited: make(chan struct{})}
	text, err := os.ReadFile(g.config)
	must(tb, err)
	text = []byte(outside(string(text)))
	must(tb, os.WriteFile(g.config, text, 0o600))
	if said, err := exec.CommandContext(tb.Context(), binary, "config", "check", g.config).CombinedOutput(); err != nil {
		tb.Fatalf("gateway config check: %v\n%s\n%s", err, said, text)
	}

	config := make(map[string]any)
	must(tb, yaml.Unmarshal(text, &config))
	for _, port := range []string{"webhooks", "admin"} {
		listener, _ := config[port].(map[string]any)
		listener["address"] = "127.0.0.1:0"
	}
	config["shutdownDelay"] = "0s"
	for _, change := range changes {
		change(config)
	}
	text, err = yaml.Marshal(config)
	must(tb, err)
	must(tb, os.WriteFile(g.config, text, 0o600))
	g.cmd = exec.Command(binary, arguments...)
	g.cmd.Env = []string{"KUBECONFIG=" + w.mustKubeconfig(tb, dir, namespace, pod.ServiceAccountName)}
	g.cmd.Stderr = g.said
	must(tb, g.cmd.Start())
	go func() {
		defer close(g.exited)
		_ = g.cmd.Wait() // how it ended is in its state
	}()
	tb.Cleanup(func() {
		_ = g.cmd.Process.Kill() // mostly it has ended, as the test wanted
		<-g.exited
		if tb.Failed() {
			tb.Logf("the gateway of %s said\n%s", namespace, g.said)
		}
	})
	return g
}

// mustKubeconfig returns the file that leads an account to the API server.
func (w *world) mustKubeconfig(tb testing.TB, dir, namespace, account string) string {
	tb.Helper()
	const name = "test"
	c := api.NewConfig()
	c.Clusters[name] = &api.Cluster{Server: w.rest.Host, CertificateAuthority: w.rest.CAFile, CertificateAuthorityData: w.rest.CAData}
	c.AuthInfos[name] = &api.AuthInfo{Token: w.mustToken(tb, namespace, account)}
	c.Contexts[name] = &api.Context{Cluster: name, AuthInfo: name}
	c.CurrentContext = name
	path := filepath.Join(dir, "kubeconfig")
	must(tb, clientcmd.WriteToFile(*c, path))
	return path
}

// mustToken returns a token of an account.
func (w *world) mustToken(tb testing.TB, namespace, account string, audiences ...string) string {
	tb.Helper()
	token, err := w.core.CoreV1().ServiceAccounts(namespace).CreateToken(tb.Context(), account,
		&authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{Audiences: audiences}}, metav1.CreateOptions{})
	must(tb, err)
	return token.Status.Token
}

// ready reports whether the gateway has said that it is, and learns where.
func (g *gatewayProcess) ready() bool {
	for line := range strings.Lines(g.said.String()) {
		var entry struct{ Msg, Webhooks, Admin string }
		if json.Unmarshal([]byte(line), &entry) == nil && entry.Msg == "ready" {
			g.webhooks, g.admin = entry.Webhooks, entry.Admin
			return true
		}
	}
	return false
}

func (g *gatewayProcess) awaitReady(tb testing.TB) {
	tb.Helper()
	eventually(tb, "that the gateway is ready", func() bool {
		select {
		case <-g.exited:
			tb.Fatal("the gateway ended")
		default:
		}
		return g.ready()
	})
}

// stop ends the gateway as a kubelet does.
func (g *gatewayProcess) stop(tb testing.TB) {
	tb.Helper()
	must(tb, g.cmd.Process.Signal(syscall.SIGTERM))
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	select {
	case <-g.exited:
	case <-ctx.Done():
		tb.Fatal("the gateway does not end")
	}
	if code := g.cmd.ProcessState.ExitCode(); code != 0 {
		tb.Errorf("the gateway ended with %d", code)
	}
}
