// Command render writes what is installed without Helm from what is installed
// with it, so that there is one source: the chart takes the CRD and the policy for
// approvals from the module beside it, deploy/gateway is the chart rendered.
//
// It is a module of its own, so that what Helm and kustomize need never moves a
// version of the gateway's. Its tests prove chart, manifests and overlays against
// a Kubernetes API.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	root := flag.String("root", "../..", "`DIR` of the checkout")
	flag.Parse()
	if err := write(*root); err != nil {
		fmt.Fprintln(os.Stderr, "render:", err)
		os.Exit(1)
	}
}

// write puts all that is generated into a checkout.
func write(root string) error {
	sources, err := chartFiles(root)
	if err != nil {
		return err
	}
	// They come first, for the chart is rendered with them.
	if err := writeFiles(root, sources); err != nil {
		return err
	}
	manifests, err := plain(filepath.Join(root, chartDir))
	if err != nil {
		return err
	}
	return writeFiles(root, manifests)
}

// writeFiles writes files by their path in a checkout.
func writeFiles(root string, files map[string]string) error {
	for path, text := range files {
		path = filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}
