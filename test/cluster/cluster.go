// Package cluster gives tests a real Kubernetes API: devcluster (kube-apiserver
// and etcd) as a child process, which a test can stop, freeze, kill and start
// again on the same data.
//
// A test with a cluster of its own calls Start. A package whose tests share one
// calls Main from its TestMain:
//
//	var shared *cluster.Cluster
//
//	func TestMain(m *testing.M) {
//		os.Exit(cluster.Main(m, func(c *cluster.Cluster) error {
//			shared = c
//			return installCRD(c.Kubeconfig())
//		}))
//	}
//
// CRDs belong there: kube-apiserver holds the first object of a new one back for
// two seconds.
package cluster

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Cluster is one devcluster and its data directory. Its methods are not for
// concurrent use with each other; the API that it serves is.
type Cluster struct {
	binary string
	dir    string
	flags  []string
	temp   bool // the directory is ours to remove

	process *process // nil while nothing runs
}

// Option changes how a cluster is started.
type Option func(*Cluster)

// WithDataDir keeps the cluster's state in dir, made if missing, instead of in a
// temporary directory that goes with the cluster.
func WithDataDir(dir string) Option {
	return func(c *Cluster) { c.dir = dir }
}

// WithFlags passes flags to kube-apiserver, for instance
// "--etcd-compaction-interval=2s".
func WithFlags(flags ...string) Option {
	return func(c *Cluster) { c.flags = append(c.flags, flags...) }
}

// Start returns a cluster that serves, and stops it when the test ends. It fails
// the test when there is none to be had.
func Start(tb testing.TB, opts ...Option) *Cluster {
	tb.Helper()
	c, err := New(opts...)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		logs := c.Logs()
		if tb.Failed() && logs != "" {
			tb.Logf("devcluster said:\n%s", logs)
		}
		if err := c.Close(); err != nil {
			tb.Error(err)
		}
	})
	return c
}

// Main starts a cluster, gives it to setUp, runs the tests of m and closes the
// cluster. It returns the code to exit with.
func Main(m *testing.M, setUp func(*Cluster) error) int {
	c, err := New()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code := 1
	if err := setUp(c); err != nil {
		fmt.Fprintln(os.Stderr, "set up cluster:", err)
	} else {
		code = m.Run()
	}
	if err := c.Close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// New returns a cluster that serves. The caller must Close it; where there is a
// testing.TB, Start sees to that. The child ends with this process in any case.
func New(opts ...Option) (*Cluster, error) {
	c := &Cluster{}
	for _, opt := range opts {
		opt(c)
	}
	var err error
	if c.binary, err = Binary(); err != nil {
		return nil, err
	}
	if c.dir == "" {
		if c.dir, err = os.MkdirTemp("", "cluster"); err != nil {
			return nil, fmt.Errorf("make data directory: %w", err)
		}
		c.temp = true
	}
	if err := c.Restart(); err != nil {
		c.removeTemp()
		return nil, err
	}
	return c, nil
}

// Close stops the cluster if it runs, and removes a temporary data directory.
func (c *Cluster) Close() error {
	defer c.removeTemp()
	return c.Stop()
}

func (c *Cluster) removeTemp() {
	if c.temp {
		os.RemoveAll(c.dir)
	}
}

// Kubeconfig returns the path of a kubeconfig for a cluster administrator. It
// stays good over restarts.
func (c *Cluster) Kubeconfig() string { return filepath.Join(c.dir, "kubeconfig") }

// DataDir returns the directory of the cluster's state.
func (c *Cluster) DataDir() string { return c.dir }

// Address returns the host:port that the API is served on over TLS. It stays the
// same over restarts.
func (c *Cluster) Address() string {
	// The file is there since the first start succeeded, and never empty.
	raw, _ := os.ReadFile(filepath.Join(c.dir, "address"))
	return strings.TrimSpace(string(raw))
}

// PID returns the child's process id, 0 while there is none.
func (c *Cluster) PID() int {
	if c.process == nil {
		return 0
	}
	return c.process.pid()
}

// Logs returns the end of what the running child wrote to stderr: errors, and
// more with the flag -v.
func (c *Cluster) Logs() string {
	if c.process == nil {
		return ""
	}
	return c.process.stderr.String()
}

// Stop ends the child with SIGTERM, thawing it if it is frozen. It is an error if
// the child had ended before, exits with another code than 0, or takes more than
// 30 s and is killed. A stopped cluster is left as it is.
func (c *Cluster) Stop() error {
	return c.end((*process).terminate)
}

// Kill ends the child with SIGKILL. A stopped cluster is left as it is.
func (c *Cluster) Kill() error {
	return c.end((*process).kill)
}

func (c *Cluster) end(how func(*process) error) error {
	p := c.process
	if p == nil {
		return nil
	}
	c.process = nil
	if err := how(p); err != nil {
		return fmt.Errorf("end devcluster: %w", err)
	}
	return nil
}

// Freeze stops the child's execution with SIGSTOP: connections stay open and
// nothing answers. It returns once the child stands still.
func (c *Cluster) Freeze() error {
	if c.process == nil {
		return errNotRunning
	}
	return c.process.freeze()
}

// Thaw lets a frozen child go on.
func (c *Cluster) Thaw() error {
	if c.process == nil {
		return errNotRunning
	}
	return c.process.thaw()
}

// Restart stops the child if it runs and starts another on the same data and
// address. It returns once that one serves.
func (c *Cluster) Restart() error {
	if err := c.Stop(); err != nil {
		return err
	}
	p, err := startProcess(c.binary, c.dir, c.flags)
	if err != nil {
		return err
	}
	c.process = p
	return nil
}
