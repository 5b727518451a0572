package image

import (
	"bytes"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"kubernaut.io/gateway/test/harness"
)

// stopLimit is some hundred times what the gateway takes to stop.
const stopLimit = 20 * time.Second

// confine runs a program of the file system $1 as an engine under Kubernetes'
// Pod Security level "restricted" would: the root read-only, in a mount
// namespace of its own, with $2 at /etc/gateway, as user and group $3, without
// capabilities or a way to any. Each step replaces the process, so that signals
// reach the gateway. setpriv leaves what chroot needs until the user changes.
const confine = `set -eu
root=$1 config=$2 user=$3
shift 3
mount --bind "$root" "$root"
mount --bind -o ro "$config" "$root/etc/gateway"
mount -o remount,bind,ro "$root"
exec setpriv --no-new-privs --inh-caps=-all --bounding-set=-all,+sys_chroot,+setuid,+setgid \
	chroot --userspec="$user" --groups= "$root" "$@"`

// command returns the image's entrypoint with arguments, confined, as a user and
// group.
func (c container) command(t *testing.T, config, user string, arguments ...string) *exec.Cmd {
	t.Helper()
	// An engine makes the places that volumes are mounted at.
	if err := os.MkdirAll(filepath.Join(c.root, "etc/gateway"), 0o755); err != nil {
		t.Fatal(err)
	}
	all := []string{"--mount", "--propagation", "private", "sh", "-c", confine, "sh", c.root, config, user}
	cmd := exec.Command("unshare", append(append(all, c.config.Entrypoint...), arguments...)...)
	// What an engine would set, and nothing of this machine's.
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOSTNAME=gateway-0"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

// mustConfig returns a directory with gateway.yaml and what it names, as a
// ConfigMap's volume would be.
func mustConfig(t *testing.T) string {
	t.Helper()
	// Mounted, it is out of the directories above it, which are this user's alone.
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	kubeconfig, err := os.ReadFile(api.Kubeconfig())
	if err != nil {
		t.Fatal(err)
	}
	yaml := `namespace: ` + shared.NewNamespace(t) + `
webhooks: {address: "127.0.0.1:0"}
admin: {address: "127.0.0.1:0"}
kubernetes: {kubeconfig: /etc/gateway/kubeconfig}
policy: {timeZone: Pacific/Auckland}
shutdownDelay: 0s
`
	for name, text := range map[string]string{"kubeconfig": string(kubeconfig), "gateway.yaml": yaml} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestCommands: what takes no cluster, with a time zone by name, which the image
// has no files for; as the image's user, and as OpenShift would, which gives each
// namespace a user of its own in the group 0. The image comes as one file.
func TestCommands(t *testing.T) {
	needsRoot(t)
	c := newBuildah(t).from(t, "oci-archive:"+filepath.Join(built, "image.tar"))
	config := mustConfig(t)
	for _, test := range []struct {
		arguments []string
		want      string
	}{
		{[]string{"version"}, "gateway " + version + " "},
		{[]string{"config", "check", "/etc/gateway/gateway.yaml"}, "/etc/gateway/gateway.yaml: no problems"},
		{[]string{"crd"}, "kind: CustomResourceDefinition"},
	} {
		for _, user := range []string{c.config.User, "1000680000:0"} {
			out, err := c.command(t, config, user, test.arguments...).CombinedOutput()
			if err != nil || !strings.Contains(string(out), test.want) {
				t.Errorf("%v as %s: %v, it says\n%s\nwant %q", test.arguments, user, err, out, test.want)
			}
		}
	}
}

// TestServe: the image's own command gets ready, takes an alert, and ends when it
// is told to.
func TestServe(t *testing.T) {
	needsRoot(t)
	c := newBuildah(t).from(t, "oci:"+filepath.Join(built, "oci"))
	cmd := c.command(t, mustConfig(t), c.config.User, c.config.Cmd...)
	var said journal
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		// It has mostly ended, as the test wanted.
		_ = cmd.Process.Kill()
		if t.Failed() {
			t.Logf("it said:\n%s", said.String())
		}
	})

	ready := regexp.MustCompile(`"msg":"ready".*"webhooks":"([^"]+)","admin":"([^"]+)"`)
	var match []string
	harness.Eventually(t, "ready", func() bool {
		match = ready.FindStringSubmatch(said.String())
		return match != nil
	})
	confined(t, cmd.Process.Pid)

	alert, err := os.ReadFile("../fixtures/prometheus-alert.json")
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.Post("http://"+match[1]+"/webhook/prometheus", "application/json", bytes.NewReader(alert))
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusCreated {
		t.Errorf("an alert is answered %s, want 201", response.Status)
	}
	if response, err = http.Get("http://" + match[2] + "/readyz"); err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Errorf("/readyz says %s", response.Status)
	}

	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("SIGTERM ends it with %v, want 0", err)
		}
	case <-time.After(stopLimit):
		t.Error("it ignores SIGTERM")
	}
}

// confined checks that a process is the image's user, can gain nothing, and has a
// root that it can't write to.
func confined(t *testing.T, pid int) {
	t.Helper()
	proc := filepath.Join("/proc", strconv.Itoa(pid))
	status, err := os.ReadFile(filepath.Join(proc, "status"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"Name:\tgateway\n", "Uid:\t65532\t65532\t65532\t65532\n", "Gid:\t65532\t65532\t65532\t65532\n",
		"CapPrm:\t0000000000000000\n", "CapEff:\t0000000000000000\n", "NoNewPrivs:\t1\n",
	} {
		if !strings.Contains(string(status), want) {
			t.Errorf("its status lacks %q:\n%s", want, status)
		}
	}
	mounts, err := os.ReadFile(filepath.Join(proc, "mountinfo"))
	if err != nil {
		t.Fatal(err)
	}
	// Of the mounts only those below its root are shown: / and /etc/gateway.
	shown := regexp.MustCompile(`(?m)^\S+ \S+ \S+ \S+ (\S+) (\S+)`).FindAllStringSubmatch(string(mounts), -1)
	if len(shown) != 2 {
		t.Errorf("it sees the mounts\n%s, want / and /etc/gateway", mounts)
	}
	for _, m := range shown {
		if !strings.HasPrefix(m[2], "ro") {
			t.Errorf("%s is mounted %s, want read-only", m[1], m[2])
		}
	}
}

// owner returns the user that a file belongs to.
func owner(info fs.FileInfo) uint32 { return info.Sys().(*syscall.Stat_t).Uid }

// journal keeps what is written to it. It is safe for concurrent use.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write never fails.
func (j *journal) Write(data []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(data)
}

// String returns all that was written.
func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}
