package main

import (
	"fmt"
	"io"
	"io/fs"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"kubernaut.io/gateway/release/build"
	"kubernaut.io/gateway/release/oci"
)

// report tells what was written, and how large it is: unpacked, and as a node
// fetches it.
func (o *imageOptions) report(w io.Writer, source build.Source, digest string, index v1.ImageIndex, variants []oci.Variant) error {
	manifest, err := index.IndexManifest()
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "gateway-service %s in %s\n%s\n", source.Version, filepath.Join(o.out, layoutName), digest)
	for i, v := range variants {
		image, err := index.Image(manifest.Manifests[i].Digest)
		if err != nil {
			return err
		}
		layers, err := image.Layers()
		if err != nil {
			return err
		}
		var packed int64
		for _, layer := range layers {
			size, err := layer.Size()
			if err != nil {
				return err
			}
			packed += size
		}
		unpacked := 0
		for _, f := range v.Files() {
			unpacked += len(f.Data)
		}
		fmt.Fprintf(w, "%s: %.1f MB to fetch, %.1f MB unpacked\n", v.Platform, float64(packed)/1e6, float64(unpacked)/1e6)
	}
	return nil
}

// walkFiles calls take with every regular file of root.
func walkFiles(root fs.FS, take func(name string, data []byte)) error {
	return fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		data, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		take(name, data)
		return nil
	})
}
