package main

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/chart/loader"
	"helm.sh/helm/v4/pkg/engine"
	"sigs.k8s.io/yaml"
)

// Where things are in a checkout.
const (
	chartDir = "charts/signal-gateway"
	plainDir = "deploy/gateway"
)

// copies are files that the chart has from elsewhere, by where they come from.
// What ends in a slash is a folder, whose files are taken by their extension,
// should there be one.
var copies = []struct{ from, extension, to string }{
	{"api/v1alpha1/crd/", ".yaml", "files/crd/"},
	{"kube/approval-policy.yaml", "", "files/approval-policy.yaml"},
	{"deploy/observability/", ".yaml", "files/rules/"},
	{"deploy/observability/", ".json", "files/dashboards/"},
}

// chartFiles returns the copies by their path in a checkout.
func chartFiles(root string) (map[string]string, error) {
	files := make(map[string]string)
	for _, c := range copies {
		names := []string{""}
		if strings.HasSuffix(c.from, "/") {
			entries, err := os.ReadDir(filepath.Join(root, c.from))
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return nil, err
			}
			names = nil
			for _, e := range entries {
				if filepath.Ext(e.Name()) == c.extension {
					names = append(names, e.Name())
				}
			}
		}
		for _, name := range names {
			text, err := os.ReadFile(filepath.Join(root, c.from+name))
			if err != nil {
				return nil, err
			}
			files[filepath.Join(chartDir, c.to+name)] = string(text)
		}
	}
	return files, nil
}

// values are what a chart is rendered with.
type values = map[string]any

// parseValues reads values as YAML.
func parseValues(text string) (values, error) {
	v := make(values)
	if err := yaml.Unmarshal([]byte(text), &v); err != nil {
		return nil, fmt.Errorf("values: %w", err)
	}
	return v, nil
}

// render returns what a chart makes of values in a namespace, by the name of the
// template and without what came out empty. The values have to keep the schema.
func render(dir, namespace string, v values) (map[string]string, error) {
	chart, err := loader.Load(dir)
	if err != nil {
		return nil, err
	}
	all, err := util.ToRenderValues(chart, v, common.ReleaseOptions{Name: "gateway", Namespace: namespace, IsInstall: true, Revision: 1}, nil)
	if err != nil {
		return nil, err
	}
	rendered, err := engine.Render(chart, all)
	if err != nil {
		return nil, err
	}
	files := make(map[string]string)
	for path, text := range rendered {
		_, name, _ := strings.Cut(path, "/templates/")
		if filepath.Ext(name) == ".yaml" && strings.TrimSpace(text) != "" {
			files[name] = text
		}
	}
	return files, nil
}

// order is in which files the manifests are, and so in which order kubectl takes
// them.
var order = []string{
	"namespace.yaml", "crd.yaml", "approval-policy.yaml", "serviceaccount.yaml", "rbac.yaml", "configmap.yaml",
	"service.yaml", "networkpolicy.yaml", "workload.yaml",
}

// generated is the first line of what is generated.
const generated = "# Rendered from charts/signal-gateway by \"make manifests\"; change it there.\n"

// plain returns the manifests that kubectl applies, by their path in a checkout:
// the chart with its default values, in the namespace that is made with them.
func plain(dir string) (map[string]string, error) {
	rendered, err := render(dir, "kubernaut-system", values{
		"namespace": values{"create": true}, "crds": values{"keep": false},
	})
	if err != nil {
		return nil, err
	}
	files := make(map[string]string)
	for i, name := range order {
		text, ok := rendered[name]
		if !ok {
			return nil, fmt.Errorf("%s renders nothing", name)
		}
		delete(rendered, name)
		path := filepath.Join(plainDir, fmt.Sprintf("%02d-%s", i, name))
		files[path] = generated + strings.TrimPrefix(strings.TrimSpace(text), "---\n") + "\n"
	}
	delete(rendered, filepath.Join("tests", "ready.yaml")) // Helm's own
	if len(rendered) > 0 {
		return nil, fmt.Errorf("templates without a place in deploy/gateway: %v", slices.Collect(maps.Keys(rendered)))
	}
	return files, nil
}
