package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const samples = root + "/deploy/samples"

// TestSamples: the objects among the samples are taken as they are.
func TestSamples(t *testing.T) {
	files, err := filepath.Glob(samples + "/*.yaml")
	must(t, err)
	var applied []*unstructured.Unstructured
	for _, path := range files {
		text, err := os.ReadFile(path)
		must(t, err)
		objects, err := parse(string(text))
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		for _, o := range objects {
			if o.GetKind() != "" {
				applied = append(applied, o)
			}
		}
	}
	if len(applied) != 4 {
		t.Errorf("%d objects among the samples, want 4", len(applied))
	}
	shared.mustNamespace(t, "monitoring")
	shared.mustApply(t, mustBuild(t, "base"))
	shared.mustApply(t, applied)
}

// TestAlertmanagerSample: with the gateway as the chart configures it, the
// receiver and route to paste lose, hide and double nothing.
func TestAlertmanagerSample(t *testing.T) {
	config, _, err := unstructured.NestedString(find(t, mustBuild(t, "base"), "ConfigMap", "gateway-config").Object, "data", "gateway.yaml")
	must(t, err)
	path := filepath.Join(t.TempDir(), "gateway.yaml")
	must(t, os.WriteFile(path, []byte(config), 0o600))
	doctor := exec.CommandContext(t.Context(), binary, "doctor", "--config", path, "--alertmanager", samples+"/alertmanager.yaml",
		"--fail-on", "loses,hides,doubles")
	if said, err := doctor.CombinedOutput(); err != nil {
		t.Errorf("gateway doctor: %v\n%s", err, said)
	}
}
