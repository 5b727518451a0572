package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const (
	nowInForce = "environment: {default: production}\n"
	tried      = "environment: {default: production}\nmatrix: {path: {production: {P1: manual}}}\nshutdownDelay: 1s\n"
)

// mustShadow runs a gateway with a shadow, and returns it with its file and the
// shadow's.
func mustShadow(t *testing.T) (c *command, live, shadow string) {
	t.Helper()
	dir := t.TempDir()
	live, shadow = filepath.Join(dir, "gateway.yaml"), filepath.Join(dir, "next.yaml")
	for name, text := range map[string]string{shadow: "webhooks: {address: '127.0.0.1:8080'}\n" + tried, live: "webhooks: {address: '127.0.0.1:8080'}\n" + nowInForce + "shadow: {config: " + shadow + "}\n"} {
		if err := os.WriteFile(name, []byte(text), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	c, _ = startDevProcess(t, filepath.Join(dir, "state"), "--config", live)
	return c, live, shadow
}

// answering runs a command line with something typed.
func answering(t *testing.T, typed string, args ...string) (code int, printed string) {
	t.Helper()
	var out bytes.Buffer
	root := newRoot(&out, &out)
	root.SetIn(strings.NewReader(typed))
	root.SetArgs(args)
	if err := root.ExecuteContext(t.Context()); err != nil {
		return exitFailure, out.String() + err.Error()
	}
	return exitOK, out.String()
}

func TestShadowAndPromote(t *testing.T) {
	c, live, shadow := mustShadow(t)
	admin, url := c.printed(t, `page +(http://\S+)/`), c.printed(t, `webhook +(http://\S+/webhook/prometheus)`)
	if code, text := answering(t, "", "policy", "promote", "--config", live, "--admin", admin, "--yes"); code == exitOK || !strings.Contains(text, "nothing has come in") {
		t.Errorf("before anything was looked at: %d %s", code, text)
	}
	if status, a := post(t, url); a.Signals[0].Path != "conservative" {
		t.Fatalf("the alert is %d %+v", status, a)
	}
	for deadline := time.Now().Add(time.Minute); ; {
		_, text := answering(t, "", "shadow", "--admin", admin)
		if strings.Contains(text, "conservative") && strings.Contains(text, "manual") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the shadow shows\n%s", text)
		}
	}
	var report struct {
		Newest []struct {
			What          string
			Before, After struct{ Path string }
		}
	}
	_, text := answering(t, "", "shadow", "--admin", admin, "--output", "json")
	if err := json.Unmarshal([]byte(text), &report); err != nil || len(report.Newest) != 1 || report.Newest[0].What != "path" || report.Newest[0].After.Path != "manual" {
		t.Errorf("one by one: %v, %s", err, text)
	}

	promote := []string{"policy", "promote", "--config", live, "--admin", admin}
	if code, text := answering(t, "no\n", promote...); code == exitOK || !strings.Contains(text, "nothing was changed") {
		t.Errorf("somebody said no: %d %s", code, text)
	}
	code, text := answering(t, "yes\n", promote...)
	for _, want := range []string{"conservative", "after the next restart only: ", "shutdownDelay", "has taken it up", "ready"} {
		if code != exitOK || !strings.Contains(text, want) {
			t.Errorf("somebody said yes: %d, want %q in\n%s", code, want, text)
		}
	}
	promoted, err := os.ReadFile(live)
	was, err2 := os.ReadFile(live + ".before")
	info, err3 := os.Stat(live)
	if err != nil || err2 != nil || err3 != nil || !strings.Contains(string(promoted), tried) || !strings.Contains(string(was), shadow) || info.Mode().Perm() != 0o640 {
		t.Errorf("the file is now %q, before %q, %v %v %v", promoted, was, err, err2, err3)
	}
	if code, text := answering(t, "", "shadow", "--admin", admin); code == exitOK || !strings.Contains(text, "no shadow") {
		t.Errorf("the shadow is in force and there is still one: %s", text)
	}
	if code, text := answering(t, "", promote...); code == exitOK || !strings.Contains(text, "shadow.config is not set") {
		t.Errorf("there is nothing to put in force: %d %s", code, text)
	}
}

// TestPromoteAnother: what is on the disk is not what the gateway has tried.
func TestPromoteAnother(t *testing.T) {
	c, live, _ := mustShadow(t)
	admin, url := c.printed(t, `page +(http://\S+)/`), c.printed(t, `webhook +(http://\S+/webhook/prometheus)`)
	post(t, url)
	elsewhere := filepath.Join(t.TempDir(), "next.yaml")
	text, err := os.ReadFile(live)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		elsewhere:   "webhooks: {address: '127.0.0.1:8080'}\nenvironment: {default: staging}\n",
		live + ".2": string(text[:bytes.LastIndexByte(bytes.TrimSpace(text), '\n')]) + "\nshadow: {config: " + elsewhere + "}\n",
	} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if code, text := answering(t, "yes\n", "policy", "promote", "--config", live+".2", "--admin", admin); code == exitOK || !strings.Contains(text, "another one") {
		t.Errorf("another shadow: %d %s", code, text)
	}
	code, printed := answering(t, "", "policy", "promote", "--config", live, "--admin", admin, "--print")
	if code != exitOK || !strings.Contains(printed, tried) {
		t.Errorf("printed: %d %s", code, printed)
	}
	if now, err := os.ReadFile(live); err != nil || !bytes.Equal(now, text) {
		t.Errorf("to print it changes the file: %s %v", now, err)
	}
}
