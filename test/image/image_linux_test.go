package image

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"kubernaut.io/gateway/test/cluster"
	"kubernaut.io/gateway/test/harness"
)

// platform is that of this machine, which alone can be run here.
const platform = "linux/" + runtime.GOARCH

const version = "v0.0.0-test"

// What all tests here look at: the image, and an API server.
var (
	built  string
	api    *cluster.Cluster
	shared *harness.Cluster
)

func TestMain(m *testing.M) {
	code := cluster.Main(m, func(c *cluster.Cluster) error {
		var err error
		api = c
		if shared, err = harness.NewCluster(c.Kubeconfig()); err != nil {
			return err
		}
		if built, err = os.MkdirTemp("", "image"); err != nil {
			return err
		}
		build := exec.Command("go", "-C", "../../release", "run", "-trimpath", ".", "image",
			"--platforms", platform, "--version", version, "--out", built, "--archive", filepath.Join(built, "image.tar"))
		// As in `make image`, so that what is compiled serves both.
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			return fmt.Errorf("build the image: %w\n%s", err, out)
		}
		return nil
	})
	os.RemoveAll(built)
	os.Exit(code)
}

// needsRoot skips what mounts and changes its user.
func needsRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root may mount, and run as another user; scripts/test.sh says that this was skipped")
	}
}

// TestWhatItSays: a platform's tools find on the image what they look for.
func TestWhatItSays(t *testing.T) {
	needsRoot(t)
	c := newBuildah(t).from(t, "oci:"+filepath.Join(built, "oci"))
	if c.config.User != "65532:65532" {
		t.Errorf("it runs as %q, want 65532:65532", c.config.User)
	}
	for name, want := range map[string]string{"version": version, "licenses": "Apache-2.0", "title": "gateway-service"} {
		if got := c.config.Labels["org.opencontainers.image."+name]; got != want {
			t.Errorf("the label %s is %q, want %q", name, got, want)
		}
	}
	if _, err := os.Stat("../../.git"); err == nil && len(c.config.Labels["org.opencontainers.image.revision"]) != 40 {
		t.Errorf("labels %v name no revision", c.config.Labels)
	}
	got := files(t, c.root)
	for name := range got {
		if name != "gateway" && name != "etc/ssl/certs/ca-certificates.crt" {
			t.Errorf("it holds %s, which nothing needs", name)
		}
	}
	if len(got) != 2 {
		t.Errorf("it holds %v, want the gateway and certificates", got)
	}
}

// TestDockerfile: an engine makes the same image of the Dockerfile.
func TestDockerfile(t *testing.T) {
	needsRoot(t)
	b := newBuildah(t)
	want := b.from(t, "oci:"+filepath.Join(built, "oci"))
	label := func(name string) string {
		return strings.ToUpper(name) + "=" + want.config.Labels["org.opencontainers.image."+name]
	}
	b.run(t, "build", "--isolation", "chroot", "--platform", platform, "--file", "../../docker/gateway-service.Dockerfile",
		"--build-arg", label("version"), "--build-arg", label("revision"), "--build-arg", label("created"),
		"--tag", "from-dockerfile", filepath.Join(built, "rootfs"))
	got := b.from(t, "localhost/from-dockerfile")
	if !reflect.DeepEqual(got.config, want.config) {
		t.Errorf("the Dockerfile says\n%+v\nthe layout\n%+v", got.config, want.config)
	}
	if got, want := files(t, got.root), files(t, want.root); !reflect.DeepEqual(got, want) {
		t.Errorf("the Dockerfile's image holds\n%v\nthe layout's\n%v", got, want)
	}
}

// files returns mode, owner and sum of each regular file below root.
func files(t *testing.T, root string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := fs.WalkDir(os.DirFS(root), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		data, err := os.ReadFile(filepath.Join(root, name))
		sum := sha256.Sum256(data)
		all[name] = fmt.Sprintf("%s, owner %d, %s", info.Mode(), owner(info), hex.EncodeToString(sum[:]))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
