// Command release makes what is shipped of a checkout of the gateway: the
// container image, archives for those who run it elsewhere, and checksums.
//
// It needs Go and git, no container engine. The same commit and the same Go give
// the same bytes, on every machine.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"syscall"

	"github.com/spf13/cobra"

	"kubernaut.io/gateway/release/archive"
	"kubernaut.io/gateway/release/build"
	"kubernaut.io/gateway/release/oci"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := newRoot().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		stop()
		os.Exit(1)
	}
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "release",
		Short:         "Makes the container image, archives and checksums of the gateway",
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.CompletionOptions.DisableDefaultCmd = true
	root.AddCommand(newImage(), newArchives(), newChecksums(), newPush())
	return root
}

// sane is what a version may be. A git tag may be anything else.
var sane = regexp.MustCompile(`^[0-9A-Za-z][-+._0-9A-Za-z]*$`)

// from are the flags of what is built and for what.
type from struct {
	dir, version string
	platforms    []string
}

func (f *from) register(cmd *cobra.Command, of []build.Platform) {
	all := make([]string, len(of))
	for i, p := range of {
		all[i] = p.String()
	}
	cmd.Flags().StringVar(&f.dir, "source", "..", "checkout of the gateway, a `DIR`")
	cmd.Flags().StringVar(&f.version, "version", "", "what it calls itself, instead of what git describes")
	cmd.Flags().StringSliceVar(&f.platforms, "platforms", all, "`OS/ARCH`, more than one separated by commas")
}

// read returns what the flags say, and the environment's SOURCE_DATE_EPOCH.
func (f *from) read(ctx context.Context, of []build.Platform) (build.Source, []build.Platform, error) {
	platforms, err := build.ParsePlatforms(f.platforms, of)
	if err != nil {
		return build.Source{}, nil, fmt.Errorf("--platforms: %w", err)
	}
	source, err := build.Describe(ctx, f.dir)
	if err != nil {
		return build.Source{}, nil, err
	}
	if f.version != "" {
		source.Version = f.version
	}
	if !sane.MatchString(source.Version) {
		return build.Source{}, nil, fmt.Errorf("version %q: file names and labels bear it, so it takes letters, digits, dots, dashes, underscores and plus alone; give another with --version", source.Version)
	}
	if seconds, ok := os.LookupEnv("SOURCE_DATE_EPOCH"); ok {
		if source.Time, err = build.ParseEpoch(seconds); err != nil {
			return build.Source{}, nil, fmt.Errorf("SOURCE_DATE_EPOCH: %w", err)
		}
	}
	return source, platforms, nil
}

func newChecksums() *cobra.Command {
	return &cobra.Command{
		Use:   "checksums DIR",
		Short: "Write SHA256SUMS over all files in a directory",
		Args:  cobra.ExactArgs(1),
		RunE:  func(_ *cobra.Command, args []string) error { return archive.Checksums(args[0]) },
	}
}

func newPush() *cobra.Command {
	return &cobra.Command{
		Use:   "push LAYOUT REGISTRY/REPOSITORY:TAG",
		Short: "Copy an image that is there to a registry, with its bills of materials",
		Args:  cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			pushed, err := oci.Push(cmd.Context(), args[0], args[1])
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), pushed)
			return err
		},
	}
}
