package fault

import (
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"testing"

	"kubernaut.io/gateway/test/fleet"
	"kubernaut.io/gateway/test/harness"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestFullDiskStopsTheRecordingAlone: each alert has its request and its answer
// while the disk that recordings go to takes nothing more.
func TestFullDiskStopsTheRecordingAlone(t *testing.T) {
	t.Parallel()
	path, err := executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	disk, err := fleet.NewDisk(filepath.Join(dir, "recordings"), 1<<20)
	if errors.Is(err, fleet.ErrNoDisk) {
		t.Skipf("a disk can be filled by root on Linux alone: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { must(t, disk.Close()) })
	g := namespace(t)
	r, err := fleet.NewReplica(fleet.ReplicaOptions{
		Name: "gateway", Binary: path, Dir: dir, Host: fleet.Loopback(80),
		Config:     fmt.Sprintf("namespace: %s\nrecord: {dir: %q}\nshutdownDelay: 0s\n", g.Namespace, disk.Dir()),
		Kubeconfig: server.Kubeconfig(), API: server.Address(), Disk: disk,
	})
	must(t, err)
	must(t, r.Start())
	t.Cleanup(func() { must(t, r.Kill()) })
	must(t, r.AwaitReady())

	created := 0
	post := func() {
		t.Helper()
		alerts := freshes(10)
		answer, err := harness.PostTo(t.Context(), r.URL+"/webhook/prometheus", harness.Webhook(alerts...))
		if err != nil || answer.Status != http.StatusCreated || answer.Summary["created"] != len(alerts) {
			t.Fatalf("answer %d %v: %v", answer.Status, answer.Summary, err)
		}
		created += len(alerts)
	}
	metric := func(series string) float64 {
		v, _, err := r.Metric(series)
		must(t, err)
		return v
	}
	post()
	harness.Eventually(t, "it is recorded", func() bool { return metric("gateway_recording_entries_total") > 0 })
	must(t, disk.Fill())
	harness.Eventually(t, "the recording fails", func() bool {
		post()
		return metric("gateway_recording_failures_total") > 0
	})
	harness.Eventually(t, "what can't be recorded is counted", func() bool {
		post()
		return metric(`gateway_recording_dropped_total{why="disk"}`) > 0
	})
	if !r.Ready() {
		t.Error("it says that it is not ready")
	}
	mustHave(t, g, created)
	must(t, r.Terminate())
}
