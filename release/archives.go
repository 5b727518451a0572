package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"kubernaut.io/gateway/release/archive"
	"kubernaut.io/gateway/release/build"
)

// beside is what goes into an archive with the binary.
var beside = []string{"CHANGELOG.md", "LICENSE", "README.md"}

type archivesOptions struct {
	from
	out string
}

func newArchives() *cobra.Command {
	var o archivesOptions
	cmd := &cobra.Command{
		Use:   "archives --out DIR",
		Short: "Write an archive and a bill of materials for each platform",
		Long: `Compiles the gateway and writes into DIR, for each platform:

  gateway_VERSION_OS_ARCH.tar.gz      the binary, licence, changelog and readme
  gateway_VERSION_OS_ARCH.cdx.json    its bill of materials, in CycloneDX`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			source, platforms, err := o.read(cmd.Context(), build.Platforms)
			if err != nil {
				return err
			}
			for _, p := range platforms {
				if err := o.write(cmd.Context(), source, p); err != nil {
					return err
				}
			}
			return nil
		},
	}
	o.register(cmd, build.Platforms)
	cmd.Flags().StringVar(&o.out, "out", "", "`DIR` to write to (required)")
	_ = cmd.MarkFlagRequired("out")
	return cmd
}

func (o *archivesOptions) write(ctx context.Context, source build.Source, p build.Platform) error {
	made, err := produce(ctx, source, p)
	if err != nil {
		return err
	}
	name := fmt.Sprintf("gateway_%s_%s_%s", source.Version, p.OS, p.Arch)
	files := []archive.File{{Name: name + "/gateway", Mode: 0o755, Data: made.binary}}
	for _, f := range beside {
		data, err := os.ReadFile(filepath.Join(source.Dir, f))
		if err != nil {
			return err
		}
		files = append(files, archive.File{Name: name + "/" + f, Mode: 0o644, Data: data})
	}
	var packed bytes.Buffer
	if err := archive.TarGz(&packed, files, source.Time); err != nil {
		return err
	}
	if err := writeFile(o.out, name+".tar.gz", packed.Bytes(), 0o644); err != nil {
		return err
	}
	return writeFile(o.out, name+".cdx.json", made.bill, 0o644)
}
