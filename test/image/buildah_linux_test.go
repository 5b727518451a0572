package image

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// buildah has a storage of its own, apart from that of the machine's user.
type buildah struct{ dir string }

// newBuildah returns a buildah whose containers end with the test.
func newBuildah(t *testing.T) *buildah {
	t.Helper()
	if _, err := exec.LookPath("buildah"); err != nil {
		t.Fatalf("buildah is not installed; run `make setup`: %v", err)
	}
	b := &buildah{dir: t.TempDir()}
	t.Cleanup(func() { b.run(t, "rm", "--all") })
	return b
}

// run returns what buildah prints, and fails the test if it fails.
func (b *buildah) run(t *testing.T, arguments ...string) string {
	t.Helper()
	all := append([]string{
		"--storage-driver", "vfs", "--root", filepath.Join(b.dir, "root"), "--runroot", filepath.Join(b.dir, "run"),
	}, arguments...)
	cmd := exec.Command("buildah", all...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("buildah %s: %v\n%s", strings.Join(arguments, " "), err, stderr.Bytes())
	}
	return strings.TrimSpace(string(out))
}

// container is an image unpacked: where, and what is to be run of it.
type container struct {
	root   string
	config imageConfig
}

// imageConfig is what an image's configuration says, less what an engine adds of
// its own.
type imageConfig struct {
	User         string
	WorkingDir   string
	Entrypoint   []string
	Cmd          []string
	ExposedPorts map[string]struct{}
	Labels       map[string]string
}

// from unpacks an image.
func (b *buildah) from(t *testing.T, image string) container {
	t.Helper()
	id := b.run(t, "from", image)
	var inspected struct {
		OCIv1 struct {
			OS, Architecture string
			Config           imageConfig
		}
	}
	if err := json.Unmarshal([]byte(b.run(t, "inspect", id)), &inspected); err != nil {
		t.Fatal(err)
	}
	if got := inspected.OCIv1.OS + "/" + inspected.OCIv1.Architecture; got != platform {
		t.Errorf("%s is for %s, want %s", image, got, platform)
	}
	delete(inspected.OCIv1.Config.Labels, "io.buildah.version")
	return container{root: b.run(t, "mount", id), config: inspected.OCIv1.Config}
}
