package chaos_test

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kubernaut.io/gateway/test/chaos"
)

// One short round of what `make chaos` plays many of, with the race detector in
// the gateways. Its seed is the day's, so that each day has its own.
func TestShortRound(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a world of processes")
	}
	gateway := filepath.Join(t.TempDir(), "gateway")
	if out, err := exec.Command("go", "build", "-race", "-o", gateway, "kubernaut.io/gateway/cmd/gateway").CombinedOutput(); err != nil {
		t.Fatalf("build gateway: %v\n%s", err, out)
	}
	dir, err := filepath.Abs("../../.cache/chaos")
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	err = chaos.Run(t.Context(), chaos.Options{
		Gateway: gateway, Dir: dir, Rounds: 1, Seed: uint64(time.Now().Unix() / int64((24 * time.Hour).Seconds())),
		Length: 6 * time.Second, Out: &out,
	})
	t.Log("\n" + out.String())
	if err != nil {
		t.Error(err)
	}
}
