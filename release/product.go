package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"kubernaut.io/gateway/release/bom"
	"kubernaut.io/gateway/release/build"
)

// product is the gateway for one platform.
type product struct {
	platform     build.Platform
	binary, bill []byte
}

// produce compiles the gateway and draws up its bill of materials.
func produce(ctx context.Context, source build.Source, p build.Platform) (product, error) {
	dir, err := os.MkdirTemp("", "release-")
	if err != nil {
		return product{}, err
	}
	defer os.RemoveAll(dir)
	// The bill names the file.
	file := filepath.Join(dir, "gateway")
	if err := source.Binary(ctx, p, file); err != nil {
		return product{}, fmt.Errorf("%s: %w", p, err)
	}
	made := product{platform: p}
	if made.binary, err = os.ReadFile(file); err != nil {
		return product{}, err
	}
	if made.bill, err = bom.Of(file, source.Version, source.Time); err != nil {
		return product{}, fmt.Errorf("%s: %w", p, err)
	}
	return made, nil
}

// writeFile writes data to dir/name with the given mode whatever the umask is,
// and makes the directories above it.
func writeFile(dir, name string, data []byte, mode os.FileMode) error {
	path := filepath.Join(dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(path, data, mode); err != nil {
		return err
	}
	return os.Chmod(path, mode)
}
