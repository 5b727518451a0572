// Package attack does to the gateway's executable what attackers do, and looks
// whether what must happen does. Each attack is a row of a table; the tables are
// listed in docs/security-audit.md, which is checked to list exactly these.
package attack

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"kubernaut.io/gateway/test/cluster"
	"kubernaut.io/gateway/test/harness"
)

var (
	long   = flag.Bool("long", false, "run the attacks that take long, too")
	update = flag.Bool("update", false, "write the table of docs/security-audit.md anew; needs -long")
)

var (
	// shared and server are the API server of all attacks.
	shared *harness.Cluster
	server *cluster.Cluster
	// binary is the gateway, built with the race detector.
	binary string
)

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(cluster.Main(m, func(c *cluster.Cluster) error {
		server, binary = c, filepath.Join(c.DataDir(), "gateway-under-attack") // goes with the cluster
		out, err := exec.Command("go", "build", "-race", "-o", binary, "kubernaut.io/gateway/cmd/gateway").CombinedOutput()
		if err != nil {
			return fmt.Errorf("build gateway: %w\n%s", err, out)
		}
		shared, err = harness.NewCluster(c.Kubeconfig())
		return err
	}))
}
