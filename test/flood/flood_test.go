package flood_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kubernaut.io/gateway/test/cluster"
	"kubernaut.io/gateway/test/flood"
)

// mustBuild returns the gateway's executable, with the race detector.
func mustBuild(t *testing.T) string {
	t.Helper()
	gateway := filepath.Join(t.TempDir(), "gateway")
	if out, err := exec.Command("go", "build", "-race", "-o", gateway, "kubernaut.io/gateway/cmd/gateway").CombinedOutput(); err != nil {
		t.Fatalf("build gateway: %v\n%s", err, out)
	}
	return gateway
}

// TestFlood is what of `make flood` holds on any machine: the steady source is
// never refused, the noisy one takes no more than its limit, the operators' port
// answers, and what was accepted is in the API and counted.
func TestFlood(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a gateway and an API server")
	}
	var out strings.Builder
	_, err := flood.Run(t.Context(), flood.Options{
		Gateway: mustBuild(t), Dir: t.TempDir(), Cluster: cluster.Start(t), Length: 4 * time.Second, Out: &out,
	})
	t.Log("\n" + out.String())
	if err != nil {
		t.Error(err)
	}
}

// TestHeldBodies has one source announce as many large bodies as it can, and send
// none of them: the other one is served.
func TestHeldBodies(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a gateway and an API server")
	}
	w := flood.MustStart(t, flood.Options{Gateway: mustBuild(t), Dir: t.TempDir(), Cluster: cluster.Start(t)})
	// Of 64 MiB for two sources one gets six bodies of 8 MiB; who answers is the
	// one beyond.
	const most, size = 6, 8 << 20
	refused := make(chan string)
	for range most + 1 {
		conn, err := net.Dial("tcp", w.Addr())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprintf(conn, "POST /webhook/noisy HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n{", size)
		go func() {
			line, err := bufio.NewReader(conn).ReadString('\n')
			if err != nil {
				return // the test is over
			}
			select {
			case refused <- line:
			case <-t.Context().Done():
			}
		}()
	}
	if line := <-refused; !strings.Contains(line, "503") {
		t.Errorf("the body beyond the bound is answered %q", line)
	}
	for _, source := range []string{"noisy", "steady"} {
		body := w.Body("pod-0") + strings.Repeat(" ", size/2)
		response, err := http.Post("http://"+w.Addr()+"/webhook/"+source, "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if want := map[string]int{"noisy": http.StatusServiceUnavailable, "steady": http.StatusCreated}[source]; response.StatusCode != want {
			t.Errorf("%s: %s, want %d", source, response.Status, want)
		}
	}
}
