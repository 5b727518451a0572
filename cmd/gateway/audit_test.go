package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// auditLine is what the tests look at of a line.
type auditLine struct {
	Seq       int
	Kind      string
	RequestID string `json:"requestId"`
	Client    string
	UserAgent string
	Method    string
	Path      string
	Status    int
	Reason    string
	Signals   int
	Signal    string
	Outcome   string
	Request   string
	Policy    string
	What      string
}

func auditLines(t *testing.T, file string) []auditLine {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var all []auditLine
	for text := range bytes.Lines(raw) {
		var l auditLine
		if err := json.Unmarshal(text, &l); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		all = append(all, l)
	}
	return all
}

// send sends a request, whatever comes of it.
func send(t *testing.T, method, url, body string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", "sender/1 \u202e\x9b31m")
	request.Header.Set("Authorization", "Bearer hidden-in-header")
	request.Header.Set("X-Request-Id", "audited")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	if err := response.Body.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestAudit posts to the real program and verifies what it has written, as it is
// and with what somebody might do to it.
func TestAudit(t *testing.T) {
	dir, key := t.TempDir(), writeFile(t, "audit.key", "0123456789abcdef0123456789abcdef\n")
	file := filepath.Join(dir, "audit.jsonl")
	text := fmt.Sprintf("audit: {file: %q, keyFile: %q}\n", file, key)
	config := writeFile(t, "gateway.yaml", text)
	c, cmd := startDevProcess(t, t.TempDir(), "--config", config)
	url := c.printed(t, `webhook +(http://\S+/webhook/prometheus)`)
	for range 3 {
		post(t, url)
	}
	send(t, http.MethodGet, url, "")
	send(t, http.MethodPost, url+"x\u202e", "{}")
	send(t, http.MethodPost, url, `{"alerts":[{"labels":{"password":"hidden-in-body"`)
	send(t, http.MethodPost, url, `{"version":"4","alerts":[{"status":"firing","labels":{"token":"hidden-in-label","severity":"critical"},"startsAt":"2026-03-02T08:14:22Z"}]}`)
	if err := os.WriteFile(config, []byte(text+"matrix: {priority: {warning: {other: P1}}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	for limit := time.Now().Add(patience); strings.Count(c.stderr.String(), "rules in force") < 2; {
		if time.Now().After(limit) {
			t.Fatal("the changed file is never in force")
		}
	}
	stopProcess(t, c, cmd)

	checkAudited(t, auditLines(t, file))
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(raw), "hidden") || strings.ContainsAny(string(raw), "\x1b\u202e\u009b") {
		t.Errorf("the log has what it must not have:\n%s", raw)
	}
	heads := regexp.MustCompile(`"head":"([^"]+)"`).FindAllStringSubmatch(c.stderr.String(), -1)
	if len(heads) == 0 {
		t.Fatal("no head was published")
	}
	verify := []string{"audit", "verify", dir, "--key-file", key, "--expect-head", heads[len(heads)-1][1]}
	code, stdout, stderr := execute(t, verify...)
	if code != exitOK || !strings.Contains(stdout, file+": intact\n") || stderr != "" {
		t.Fatalf("as it is: exit code %d\n%s%s", code, stdout, stderr)
	}
	tamper(t, file, string(raw), verify)
}

// stopProcess ends a gateway as its user would.
func stopProcess(t *testing.T, c *command, cmd *exec.Cmd) {
	t.Helper()
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	c.ends(t, exitOK)
}

func checkAudited(t *testing.T, lines []auditLine) {
	t.Helper()
	var got []string
	for _, l := range lines {
		switch l.Kind {
		case "request":
			got = append(got, fmt.Sprintf("%s %d %d %s", l.Method, l.Status, l.Signals, l.Reason))
			if !strings.HasPrefix(l.Client, "127.0.0.1:") || l.RequestID == "" || !strings.HasPrefix(l.Path, "/webhook/prometheus") {
				t.Errorf("a request is %+v", l)
			}
		case "decision":
			got = append(got, l.Outcome+" "+l.Signal)
		case "reloaded", "mode":
		default:
			got = append(got, l.Kind)
		}
	}
	want := []string{
		"start", "rules",
		"POST 201 1 ", "created KubePodCrashLooping", "POST 202 1 ", "duplicate KubePodCrashLooping", "POST 202 1 ", "duplicate KubePodCrashLooping",
		"GET 405 0 a webhook is a POST", "POST 404 0 no source is served at this path; webhooks go to /webhook/SOURCE",
		"POST 400 0 bad request", "POST 400 1 bad request", "rejected ", "rules", "stop",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("the lines are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// tamper does to a log what somebody might, and verifies it.
func tamper(t *testing.T, file, text string, verify []string) {
	t.Helper()
	lines := strings.SplitAfter(text, "\n")
	lines = lines[:len(lines)-1]
	join := func(parts ...[]string) string {
		var b strings.Builder
		for _, p := range parts {
			b.WriteString(strings.Join(p, ""))
		}
		return b.String()
	}
	n := len(lines)
	for name, change := range map[string]struct{ text, want string }{
		"a line removed":     {join(lines[:4], lines[5:]), "  missing    " + file + ":5: line 5 is missing before this one\n"},
		"a line changed":     {strings.Replace(text, `"outcome":"created"`, `"outcome":"duplicate"`, 1), "  changed    " + file + ":"},
		"two lines swapped":  {join(lines[:4], lines[5:6], lines[4:5], lines[6:]), "  reordered  " + file + ":6: line 5 stands behind line 6\n"},
		"a line inserted":    {join(lines[:4], lines[2:3], lines[4:]), "  inserted   " + file + ":5: line 3 is here once more, behind line 4\n"},
		"the end cut off":    {join(lines[:n-3]), fmt.Sprintf("lines %d to %d were cut off its end\n", n-2, n)},
		"the last line torn": {text[:len(text)-20], fmt.Sprintf("line %d was cut off its end\n", n)},
		"all of it gone":     {"", "no audit log"},
	} {
		if err := os.WriteFile(file, []byte(change.text), 0o600); err != nil {
			t.Fatal(err)
		}
		code, stdout, stderr := execute(t, verify...)
		if code != exitFailure || !strings.Contains(stdout+stderr, change.want) {
			t.Errorf("%s: exit code %d\n%s%s\nwant in it %s", name, code, stdout, stderr, change.want)
		}
		code, stdout, _ = execute(t, append(verify, "--output", "json")...)
		var report struct{ OK *bool }
		if code != exitFailure || change.text != "" && (json.Unmarshal([]byte(stdout), &report) != nil || report.OK == nil || *report.OK) {
			t.Errorf("%s: as JSON, exit code %d\n%s", name, code, stdout)
		}
	}
}

// TestAuditOutlivesAKill kills the program while it works, and lets it go on
// with the log.
func TestAuditOutlivesAKill(t *testing.T) {
	dir, data := t.TempDir(), t.TempDir()
	file := filepath.Join(dir, "audit.jsonl")
	config := writeFile(t, "gateway.yaml", fmt.Sprintf("audit: {file: %q, maxBytes: 65536, maxFiles: 1000}\n", file))
	for round := range 2 {
		c, cmd := startDevProcess(t, data, "--config", config)
		url := c.printed(t, `webhook +(http://\S+/webhook/prometheus)`)
		load(t, url, 300*(round+1), func() {
			if err := cmd.Process.Kill(); err != nil {
				t.Error(err)
			}
		})
		c.ends(t, -1)
		awaitDevclusterEnd(t, data)
	}
	// A process dies between two writes, mostly; a machine within one.
	info, err := os.Stat(file)
	if err == nil {
		err = os.Truncate(file, info.Size()-10)
	}
	if err != nil {
		t.Fatal(err)
	}
	c, cmd := startDevProcess(t, data, "--config", config)
	post(t, c.printed(t, `webhook +(http://\S+/webhook/prometheus)`))
	stopProcess(t, c, cmd)
	if !strings.Contains(c.stderr.String(), "the last line of the audit log was torn by a crash") {
		t.Error("the torn line is not logged")
	}
	code, stdout, stderr := execute(t, "audit", "verify", dir)
	if code != exitOK || !strings.Contains(stdout, ": intact\n") || !strings.Contains(stdout, "a crash tore the line before this start") {
		t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
	}
	if rotated, err := filepath.Glob(file + ".0*"); err != nil || len(rotated) < 2 {
		t.Errorf("earlier files are %v, %v", rotated, err)
	}
}

// load posts from several senders at once. After so many answers it calls kill,
// while the others go on.
func load(t *testing.T, url string, answers int, kill func()) {
	t.Helper()
	body, err := os.ReadFile("../../" + fixturePath)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var senders sync.WaitGroup
	for range 4 {
		senders.Go(func() {
			for {
				response, err := http.Post(url, "application/json", bytes.NewReader(body))
				if err != nil {
					return // it is dead
				}
				_ = response.Body.Close()
				mu.Lock()
				if answers--; answers == 0 {
					kill()
				}
				mu.Unlock()
			}
		})
	}
	senders.Wait()
}

// TestAuditToStandardOutput has the log go where container logs are collected.
func TestAuditToStandardOutput(t *testing.T) {
	c, cmd := startDevProcess(t, t.TempDir(), "--config", writeFile(t, "gateway.yaml", "audit: {file: \"-\"}\n"))
	post(t, c.printed(t, `webhook +(http://\S+/webhook/prometheus)`))
	stopProcess(t, c, cmd)
	var b strings.Builder
	for line := range strings.Lines(c.stdout.String()) {
		if strings.HasPrefix(line, `{"seq":`) {
			b.WriteString(line)
		}
	}
	code, stdout, stderr := execute(t, "audit", "verify", writeFile(t, "collected.jsonl", b.String()))
	if code != exitOK || !strings.Contains(stdout, ": intact\n") || !strings.Contains(b.String(), `"outcome":"created"`) {
		t.Errorf("exit code %d\n%s%s\nof\n%s", code, stdout, stderr, b.String())
	}
}

func TestAuditCommandLines(t *testing.T) {
	short := writeFile(t, "key", "short\n")
	empty := t.TempDir()
	for name, test := range map[string]struct {
		args []string
		code int
		want string
	}{
		"nothing":         {[]string{"audit"}, exitOK, "gateway audit verify /var/log/gateway"},
		"unknown":         {[]string{"audit", "verfy"}, exitUsage, `unknown command "verfy" for "gateway audit"`},
		"no path":         {[]string{"audit", "verify"}, exitUsage, "requires at least 1 arg"},
		"a short key":     {[]string{"audit", "verify", empty, "--key-file", short}, exitUsage, "openssl rand -hex 32"},
		"a bad head":      {[]string{"audit", "verify", empty, "--expect-head", "x"}, exitUsage, `--expect-head: "x" is no SEQ or SEQ:SUM`},
		"an empty folder": {[]string{"audit", "verify", empty}, exitFailure, "there is no audit log in this folder"},
		"no such file":    {[]string{"audit", "verify", empty + "/a"}, exitFailure, "no such file"},
	} {
		code, stdout, stderr := execute(t, test.args...)
		if code != test.code || !strings.Contains(stdout+stderr, test.want) {
			t.Errorf("%s: exit code %d\n%s%s\nwant in it %s", name, code, stdout, stderr, test.want)
		}
	}
}
