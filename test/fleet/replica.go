package fleet

import (
	"bufio"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"k8s.io/client-go/tools/clientcmd"
)

// ReplicaOptions says how a gateway is run.
type ReplicaOptions struct {
	Name string
	// Binary is the gateway, Dir where its files and its log go.
	Binary, Dir string
	// Host is the loopback address that it serves on, on the usual ports.
	Host string
	// Config is what its file says beside addresses and kubeconfig, as YAML.
	Config string
	// Kubeconfig is a cluster administrator's, API the address at which the
	// replica reaches the API server: a link's, say.
	Kubeconfig, API string
	// Disk is what its files in SpoolDir are on; nil for the machine's own.
	Disk *Disk
}

// Replica is a gateway as it is deployed: the executable with a file.
type Replica struct {
	*Process
	// URL is of its webhooks' port, AdminURL of the operators'.
	URL, AdminURL string
	// SpoolDir is where the spool is if Config says so.
	SpoolDir string
}

// probe is the client of readiness and metrics, which a frozen gateway must not
// hold up.
var probe = &http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

// NewReplica returns a gateway that is not running yet.
func NewReplica(o ReplicaOptions) (*Replica, error) {
	if err := os.MkdirAll(o.Dir, 0o755); err != nil {
		return nil, err
	}
	kubeconfig := filepath.Join(o.Dir, o.Name+".kubeconfig")
	if err := leadThrough(o.Kubeconfig, kubeconfig, o.API); err != nil {
		return nil, err
	}
	r := &Replica{URL: "http://" + o.Host + ":8080", AdminURL: "http://" + o.Host + ":9090"}
	text := fmt.Sprintf("webhooks: {address: %q}\nadmin: {address: %q}\nkubernetes: {kubeconfig: %q}\n%s",
		o.Host+":8080", o.Host+":9090", kubeconfig, o.Config)
	file := filepath.Join(o.Dir, o.Name+".yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return nil, err
	}
	command := []string{o.Binary, "serve", "--config", file}
	if o.Disk != nil {
		command = o.Disk.wrap(command)
	}
	r.Process = NewProcess(o.Name, filepath.Join(o.Dir, o.Name+".log"), command...)
	return r, nil
}

// leadThrough writes a kubeconfig whose server is reached at another address,
// with the certificate that it has.
func leadThrough(from, to, address string) error {
	c, err := clientcmd.LoadFromFile(from)
	if err != nil {
		return fmt.Errorf("read kubeconfig: %w", err)
	}
	for _, cluster := range c.Clusters {
		server, err := url.Parse(cluster.Server)
		if err != nil {
			return fmt.Errorf("read kubeconfig: %w", err)
		}
		cluster.Server, cluster.TLSServerName = "https://"+address, server.Hostname()
	}
	return clientcmd.WriteToFile(*c, to)
}

// AwaitReady waits until the gateway accepts signals.
func (r *Replica) AwaitReady() error { return r.await("readiness", r.Ready) }

// Ready reports whether the gateway says that it can accept signals.
func (r *Replica) Ready() bool { return isReady(r.AdminURL) }

// Metric returns the value of a series, named as it is exposed, and whether
// there is one.
func (r *Replica) Metric(series string) (float64, bool, error) {
	response, err := probe.Get(r.AdminURL + "/metrics")
	if err != nil {
		return 0, false, err
	}
	defer response.Body.Close()
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() {
		if value, found := strings.CutPrefix(lines.Text(), series+" "); found {
			v, err := strconv.ParseFloat(value, 64)
			return v, true, err
		}
	}
	return 0, false, lines.Err()
}
