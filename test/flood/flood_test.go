package flood_test

import (
	"bufio"
	"context"
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

// TestHeldBodies has one source send as many large bodies as it can, all but the
// last byte: the other one is served.
func TestHeldBodies(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a gateway and an API server")
	}
	w := flood.MustStart(t, flood.Options{Gateway: mustBuild(t), Dir: t.TempDir(), Cluster: cluster.Start(t)})
	// Of 64 MiB for two sources one gets six bodies of 8 MiB; who is answered is
	// the one beyond.
	const most, size = 6, 8 << 20
	refused := make(chan string)
	for range most + 1 {
		// One that is ended, by the server's patience too, is followed by another.
		go func() {
			for t.Context().Err() == nil {
				line, err := hold(t.Context(), w.Addr(), size)
				if err != nil {
					continue
				}
				select {
				case refused <- line:
				case <-t.Context().Done():
				case <-time.After(time.Second): // one answer is enough
				}
			}
		}()
	}
	if line := <-refused; !strings.Contains(line, "503") {
		t.Errorf("the body beyond the bound is answered %q", line)
	}
	post := func(source, pod string) int {
		response, err := http.Post("http://"+w.Addr()+"/webhook/"+source, "application/json",
			strings.NewReader(w.Body(pod)+strings.Repeat(" ", size/2)))
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		return response.StatusCode
	}
	// What is on its way takes the room that a refused one gave back.
	for deadline := time.Now().Add(time.Minute); post("noisy", "pod-0") != http.StatusServiceUnavailable; {
		if time.Now().After(deadline) {
			t.Fatal("a source that holds all that it may goes on sending")
		}
	}
	if status := post("steady", "pod-1"); status != http.StatusCreated {
		t.Errorf("the other source is answered %d", status)
	}
}

// hold sends a body of a size but for its last byte, and returns the first line
// of what is answered to it.
func hold(ctx context.Context, addr string, size int) (string, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return "", err
	}
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	defer conn.Close()
	go fmt.Fprintf(conn, "POST /webhook/noisy HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", size, strings.Repeat(" ", size-1))
	return bufio.NewReader(conn).ReadString('\n')
}
