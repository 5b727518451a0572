package main

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	cdx "github.com/CycloneDX/cyclonedx-go"
)

// mustCopy copies what the gateway is built of to dir, and nothing of git.
func mustCopy(t *testing.T, dir string) {
	t.Helper()
	root := os.DirFS("..")
	skipped := []string{".git", ".cache", "bin", "devcluster", "docs", "release", "scripts", "test", "tools"}
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (slices.Contains(skipped, name) || d.Name() == "testdata"):
			return fs.SkipDir
		case !d.Type().IsRegular() || strings.HasSuffix(name, "_test.go"):
			return nil
		}
		data, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		return writeFile(dir, name, data, 0o644)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// release runs a command line of this program.
func release(t *testing.T, arguments ...string) {
	t.Helper()
	root := newRoot()
	root.SetArgs(arguments)
	root.SetOut(new(bytes.Buffer))
	if err := root.ExecuteContext(t.Context()); err != nil {
		t.Fatalf("release %v: %v", arguments, err)
	}
}

// TestImageIsReproducible: two copies of the source, in two places, with other
// settings around them, give the same image, as a layout and as an archive.
func TestImageIsReproducible(t *testing.T) {
	platform := "linux/" + runtime.GOARCH
	var sums []string
	for _, place := range []string{"here", "some/where/else"} {
		dir := filepath.Join(t.TempDir(), filepath.FromSlash(place))
		if len(sums) > 0 {
			// What people set in their shells.
			t.Setenv("GOFLAGS", "-tags=netgo")
			t.Setenv("GOAMD64", "v3")
			t.Setenv("CGO_ENABLED", "1")
			t.Setenv("TZ", "Pacific/Auckland")
		}
		mustCopy(t, dir)
		out := filepath.Join(dir, "out")
		file := filepath.Join(out, "image.tar")
		if err := os.Mkdir(out, 0o755); err != nil {
			t.Fatal(err)
		}
		release(t, "image", "--source", dir, "--platforms", platform, "--out", out, "--archive", file)
		release(t, "checksums", out)
		checkBill(t, filepath.Join(out, "gateway_linux_"+runtime.GOARCH+".cdx.json"))
		sums = append(sums, mustRead(t, filepath.Join(out, "SHA256SUMS")))
	}
	if sums[0] != sums[1] {
		t.Errorf("one build gives\n%s\nthe other\n%s", sums[0], sums[1])
	}
	for _, want := range []string{" digest\n", ".cdx.json\n", " image.tar\n"} {
		if !strings.Contains(sums[0], want) {
			t.Errorf("%q is missing from\n%s", want, sums[0])
		}
	}
}

// TestArchives: what is in one runs, and says the version of its name.
func TestArchives(t *testing.T) {
	dir := t.TempDir()
	release(t, "archives", "--version", "v9.8.7", "--platforms", runtime.GOOS+"/"+runtime.GOARCH, "--out", dir)
	name := "gateway_v9.8.7_" + runtime.GOOS + "_" + runtime.GOARCH
	if out, err := exec.Command("tar", "-C", dir, "-xzf", filepath.Join(dir, name+".tar.gz")).CombinedOutput(); err != nil {
		t.Fatalf("tar: %v\n%s", err, out)
	}
	out, err := exec.Command(filepath.Join(dir, name, "gateway"), "version").CombinedOutput()
	if err != nil || !strings.HasPrefix(string(out), "gateway v9.8.7 ") {
		t.Errorf("gateway version: %v\n%s", err, out)
	}
	for _, file := range beside {
		if mustRead(t, filepath.Join(dir, name, file)) != mustRead(t, filepath.Join("..", file)) {
			t.Errorf("%s is not the checkout's", file)
		}
	}
	if bill := mustRead(t, filepath.Join(dir, name+".cdx.json")); !strings.Contains(bill, `"version": "v9.8.7"`) {
		t.Error("the bill of materials is of another version")
	}
}

func mustRead(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// checkBill checks that a bill of materials names what go.mod does and where the
// gateway was built for.
func checkBill(t *testing.T, file string) {
	t.Helper()
	text := mustRead(t, file)
	var bill cdx.BOM
	if err := cdx.NewBOMDecoder(strings.NewReader(text), cdx.BOMFileFormatJSON).Decode(&bill); err != nil {
		t.Fatal(err)
	}
	main := bill.Metadata.Component
	if main.Name != "kubernaut.io/gateway" || main.Version != "devel" || !strings.Contains(main.PackageURL, "goarch="+runtime.GOARCH) {
		t.Errorf("it is about %+v", *main)
	}
	mod := mustRead(t, "../go.mod")
	components := map[string]bool{}
	for _, c := range *bill.Components {
		components[c.Name] = true
		if c.Name != "std" && !strings.Contains(mod, c.Name+" "+c.Version) {
			t.Errorf("it names %s %s, which go.mod does not", c.Name, c.Version)
		}
	}
	for _, want := range []string{"std", "k8s.io/client-go", "github.com/open-policy-agent/opa", "github.com/redis/rueidis"} {
		if !components[want] {
			t.Errorf("%s is missing from it", want)
		}
	}
	var raw map[string]any
	if err := json.Unmarshal([]byte(text), &raw); err != nil || raw["specVersion"] != "1.6" {
		t.Errorf("its version is %v, %v", raw["specVersion"], err)
	}
}

func TestUsage(t *testing.T) {
	for _, test := range []struct {
		arguments []string
		wrong     string
	}{
		{[]string{"image"}, `"out" not set`},
		{[]string{"image", "--out", t.TempDir(), "--platforms", "linux/sparc"}, "--platforms: platform \"linux/sparc\""},
		{[]string{"image", "--out", t.TempDir(), "--platforms", "darwin/arm64"}, "is none of linux/amd64, linux/arm64"},
		{[]string{"archives", "--out", t.TempDir(), "--source", t.TempDir()}, "go -C"},
		{[]string{"archives", "--out", t.TempDir(), "--version", "release/1"}, `version "release/1"`},
		{[]string{"image", "--out", t.TempDir(), "--version", "1 -X main.version=2"}, "give another with --version"},
		{[]string{"push", "x"}, "accepts 2 arg"},
		{[]string{"checksums", t.TempDir()}, "holds no file"},
	} {
		root := newRoot()
		root.SetArgs(test.arguments)
		root.SetOut(new(bytes.Buffer))
		root.SetErr(new(bytes.Buffer))
		if err := root.ExecuteContext(t.Context()); err == nil || !strings.Contains(err.Error(), test.wrong) {
			t.Errorf("%v: %v, want %q", test.arguments, err, test.wrong)
		}
	}
	t.Setenv("SOURCE_DATE_EPOCH", "today")
	root := newRoot()
	root.SetArgs([]string{"image", "--out", t.TempDir()})
	if err := root.ExecuteContext(t.Context()); err == nil || !strings.Contains(err.Error(), "SOURCE_DATE_EPOCH") {
		t.Errorf("a wrong SOURCE_DATE_EPOCH: %v", err)
	}
}
