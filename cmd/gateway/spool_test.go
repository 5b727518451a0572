package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kubernaut.io/gateway"
	"kubernaut.io/gateway/spool"
)

// deaf is an observer of a spool.
type deaf struct{}

func (deaf) Spooled(int, int64, time.Time, int) {}

// fillSpool leaves two signals that were refused and one that waits, and
// returns the spool.
func fillSpool(t *testing.T, dir string) *spool.Spool {
	t.Helper()
	s, err := spool.Open(spool.Options{
		Dir: dir, MaxBytes: 64 << 20, Observer: deaf{}, Logger: slog.New(slog.DiscardHandler),
		Drain: func(context.Context, *gateway.Signal) gateway.Decision {
			return gateway.Decision{Outcome: gateway.Failed, Reason: gateway.ReasonUnavailable}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	for i, name := range []string{"KubePodCrashLooping", "Odd\n\x1b[31mname"} {
		signal := &gateway.Signal{
			Name: name, Resource: gateway.Resource{APIVersion: "v1", Kind: "Pod", Namespace: "shop", Name: "cart"},
			Fingerprint: gateway.Fingerprint{0xab, byte(i)}, ReceivedAt: time.Unix(1e9, 0), Resolved: i == 1,
		}
		if err := s.SetAside(t.Context(), signal, "Request entity too large:\nlimit is 3145728"); err != nil {
			t.Fatal(err)
		}
	}
	waiting := &gateway.Signal{Name: "NodeNotReady", Fingerprint: gateway.Fingerprint{0xcd}, ReceivedAt: time.Unix(1e9, 0)}
	if err := s.Append(t.Context(), waiting); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSpool(t *testing.T) {
	dir := t.TempDir()
	running := fillSpool(t, dir)
	config := writeFile(t, "gateway.yaml", servable+"spool: {dir: "+dir+"}\n")

	code, stdout, stderr := execute(t, "spool", "list", "--config", config)
	for _, want := range []string{
		"REFUSED       SINCE", "  1      ab0000000000  KubePodCrashLooping", `ab0100000000  Odd \x1b[31mname (resolved)`, "Pod/shop/cart",
		"Request entity too large: limit is 3145728", "gateway_spool_signals",
	} {
		if !strings.Contains(stdout, want) {
			t.Errorf("the list has no %q", want)
		}
	}
	if code != exitOK || stderr != "" || strings.Contains(stdout, "\x1b") || strings.Contains(stdout, "NodeNotReady") || t.Failed() {
		t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
	}

	if err := running.Close(); err != nil {
		t.Fatal(err)
	}
	if code, stdout, _ := execute(t, "spool", "list", "--dir", dir); code != exitOK || !strings.Contains(stdout, "2001-09-09T01:46:40Z  cd0000000000  NodeNotReady") {
		t.Errorf("exit code %d\n%s", code, stdout)
	}
	ids := listed(t, dir)

	code, stdout, stderr = execute(t, "spool", "retry", "--dir", dir, "nothing", ids[0])
	if code != exitFailure || stdout != "1 signals to be retried.\n" || !strings.Contains(stderr, `"nothing": no such signal is set aside; gateway spool list names those that are`) {
		t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
	}
	if left := listed(t, dir); len(left) != 1 || left[0] != ids[1] {
		t.Errorf("left are %v of %v", left, ids)
	}
	code, stdout, stderr = execute(t, "spool", "drop", "--dir", dir, "--all")
	if code != exitOK || stdout != "1 signals dropped.\n" || stderr != "" {
		t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
	}
	if left := listed(t, dir); len(left) != 0 {
		t.Errorf("left are %v", left)
	}
	if files, _ := filepath.Glob(filepath.Join(dir, "retry", "*.json")); len(files) != 1 {
		t.Errorf("to be retried are %v", files)
	}
	if _, stdout, _ := execute(t, "spool", "list", "--dir", dir); !strings.Contains(stdout, "No signal was refused.") {
		t.Errorf("the list is\n%s", stdout)
	}
}

// listed returns the IDs that the list has for programs.
func listed(t *testing.T, dir string) (ids []string) {
	t.Helper()
	code, stdout, stderr := execute(t, "spool", "list", "--dir", dir, "--json")
	var l spoolListing
	if err := json.Unmarshal([]byte(stdout), &l); err != nil || code != exitOK || l.Running || len(l.Waiting) != 1 {
		t.Fatalf("exit code %d, %v\n%s%s", code, err, stdout, stderr)
	}
	for _, r := range l.Refused {
		ids = append(ids, r.ID)
	}
	return ids
}

func TestSpoolCommandLines(t *testing.T) {
	none := filepath.Join(t.TempDir(), "none")
	without := writeFile(t, "gateway.yaml", servable)
	for want, test := range map[string]struct {
		code int
		args []string
	}{
		"either --dir DIR or --config":              {exitUsage, []string{"list"}},
		"either --dir DIR or --config FILE":         {exitUsage, []string{"list", "--dir", none, "--config", without}},
		"spool.dir is empty":                        {exitUsage, []string{"list", "--config", without}},
		none + " is no spool's directory":           {exitFailure, []string{"list", "--dir", none}},
		"either IDs or --all is required":           {exitUsage, []string{"drop", "--dir", none}},
		"either IDs or --all is required\n":         {exitUsage, []string{"retry", "--dir", none, "--all", "x"}},
		`unknown command "lst" for "gateway spool"`: {exitUsage, []string{"lst"}},
	} {
		code, stdout, stderr := execute(t, append([]string{"spool"}, test.args...)...)
		if code != test.code || stdout != "" || !strings.Contains(stderr, want) {
			t.Errorf("%v: exit code %d, want %d\n%s%s", test.args, code, test.code, stdout, stderr)
		}
	}
	code, stdout, _ := execute(t, "spool", "--help")
	if code != exitOK || !strings.Contains(stdout, "kubectl exec") || !strings.Contains(stdout, "retry") {
		t.Errorf("exit code %d\n%s", code, stdout)
	}
}
