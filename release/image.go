package main

import (
	"context"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"kubernaut.io/gateway/release/archive"
	"kubernaut.io/gateway/release/build"
	"kubernaut.io/gateway/release/oci"
)

// Where an image's parts lie in its directory.
const (
	layoutName = "oci"    // the image, an OCI image layout
	rootName   = "rootfs" // its files, OS-ARCH/..., for a Dockerfile to copy
	digestName = "digest" // the image's digest, one line
)

type imageOptions struct {
	from
	out, archive string
}

func newImage() *cobra.Command {
	var o imageOptions
	cmd := &cobra.Command{
		Use:   "image --out DIR",
		Short: "Write the container image as an OCI layout",
		Long: `Compiles the gateway and writes into DIR:

  oci/                          the image of all platforms, an OCI image layout,
                                with a bill of materials attached to each
  rootfs/OS-ARCH/               the files of each, as docker/gateway-service.Dockerfile
                                copies them
  gateway_OS_ARCH.cdx.json      the bills of materials, in CycloneDX
  digest                        the image's digest`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			source, platforms, err := o.read(cmd.Context(), build.Linux(build.Platforms))
			if err != nil {
				return err
			}
			return o.run(cmd.Context(), source, platforms, cmd.OutOrStdout())
		},
	}
	o.register(cmd, build.Linux(build.Platforms))
	cmd.Flags().StringVar(&o.out, "out", "", "`DIR` to write to (required)")
	cmd.Flags().StringVar(&o.archive, "archive", "", "write the layout to this tar `FILE` too")
	_ = cmd.MarkFlagRequired("out")
	return cmd
}

func (o *imageOptions) run(ctx context.Context, source build.Source, platforms []build.Platform, w io.Writer) error {
	about := oci.About{Version: source.Version, Revision: source.Revision, Created: source.Time}
	variants := make([]oci.Variant, len(platforms))
	for i, p := range platforms {
		made, err := produce(ctx, source, p)
		if err != nil {
			return err
		}
		variants[i] = oci.Variant{Platform: p, Binary: made.binary, SBOM: made.bill}
		if err := o.writeParts(variants[i]); err != nil {
			return err
		}
	}
	index, err := oci.Index(about, variants)
	if err != nil {
		return err
	}
	digest, err := oci.WriteLayout(filepath.Join(o.out, layoutName), source.Version, index)
	if err != nil {
		return err
	}
	if err := writeFile(o.out, digestName, []byte(digest.String()+"\n"), 0o644); err != nil {
		return err
	}
	if o.archive != "" {
		if err := packLayout(filepath.Join(o.out, layoutName), o.archive, source); err != nil {
			return err
		}
	}
	return o.report(w, source, digest.String(), index, variants)
}

// writeParts writes what lies beside the layout.
func (o *imageOptions) writeParts(v oci.Variant) error {
	root := filepath.Join(o.out, rootName, v.Platform.OS+"-"+v.Platform.Arch)
	if err := os.RemoveAll(root); err != nil {
		return err
	}
	for _, f := range v.Files() {
		if err := writeFile(root, f.Name, f.Data, f.Mode); err != nil {
			return err
		}
	}
	return writeFile(o.out, "gateway_"+v.Platform.OS+"_"+v.Platform.Arch+".cdx.json", v.SBOM, 0o644)
}

// packLayout writes a layout as one file, an OCI archive.
func packLayout(dir, out string, source build.Source) error {
	var files []archive.File
	root := os.DirFS(dir)
	err := walkFiles(root, func(name string, data []byte) {
		files = append(files, archive.File{Name: name, Mode: 0o644, Data: data})
	})
	if err != nil {
		return err
	}
	f, err := os.Create(out)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := archive.Tar(f, files, source.Time); err != nil {
		return err
	}
	return f.Close()
}
