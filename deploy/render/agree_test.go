package main

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestGenerated: what is in the checkout is what is generated, and nothing else.
func TestGenerated(t *testing.T) {
	files, err := chartFiles(root)
	must(t, err)
	rendered, err := plain(filepath.Join(root, chartDir))
	must(t, err)
	maps.Copy(files, rendered)
	for path, want := range files {
		if got, err := os.ReadFile(filepath.Join(root, path)); err != nil || string(got) != want {
			t.Errorf("%s is stale, run make manifests (%v)", path, err)
		}
	}
	for _, dir := range []string{plainDir, filepath.Join(chartDir, "files")} {
		must(t, filepath.WalkDir(filepath.Join(root, dir), func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || entry.Name() == "Kustomization" || strings.HasPrefix(entry.Name(), ".") {
				return err
			}
			if path, err = filepath.Rel(root, path); err != nil {
				return err
			}
			if _, ok := files[path]; !ok {
				t.Errorf("%s is generated no more; delete it", path)
			}
			return nil
		}))
	}
}

// TestManifestsAreTheChart: kubectl, kustomize and Helm install the same objects.
func TestManifestsAreTheChart(t *testing.T) {
	const namespace = "kubernaut-system"
	chart, err := render(filepath.Join(root, chartDir), namespace, values{"namespace": values{"create": true}, "crds": values{"keep": false}})
	must(t, err)
	delete(chart, "tests/ready.yaml")
	rendered, err := plain(filepath.Join(root, chartDir))
	must(t, err)
	want := names(t, mustParse(t, chart))
	if got := names(t, mustParse(t, rendered)); !slices.Equal(got, want) {
		t.Errorf("kubectl installs %v\nHelm %v", got, want)
	}
	if got := names(t, mustBuild(t, "base")); !slices.Equal(got, want) {
		t.Errorf("kustomize installs %v\nHelm %v", got, want)
	}
}
