package oci

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"kubernaut.io/gateway/release/bom"
)

// nowhere is the platform of what is not for running. Engines look for their own
// in an index, and some take an entry without any for theirs.
var nowhere = v1.Platform{OS: "unknown", Architecture: "unknown"}

// Index returns the image of all variants, each with its bill of materials
// attached.
func Index(about About, variants []Variant) (v1.ImageIndex, error) {
	if len(variants) == 0 {
		return nil, errors.New("image: no platform")
	}
	var images, bills []mutate.IndexAddendum
	for _, v := range variants {
		image, err := v.image(about)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", v.Platform, err)
		}
		descriptor, err := partial.Descriptor(image)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", v.Platform, err)
		}
		bill, err := attach(*descriptor, v.SBOM, bom.MediaType, map[string]string{
			"org.opencontainers.image.created": about.labels()["org.opencontainers.image.created"],
		})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", v.Platform, err)
		}
		images = append(images, mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{
			Platform: &v1.Platform{OS: v.Platform.OS, Architecture: v.Platform.Arch},
		}})
		bills = append(bills, mutate.IndexAddendum{Add: bill, Descriptor: v1.Descriptor{
			Platform: &nowhere, ArtifactType: bom.MediaType,
		}})
	}
	// Whoever takes the first entry takes one that runs.
	index := mutate.AppendManifests(mutate.IndexMediaType(empty.Index, types.OCIImageIndex), append(images, bills...)...)
	return mutate.Annotations(index, about.labels()).(v1.ImageIndex), nil
}

// WriteLayout writes index as an OCI image layout into dir, under the name tag,
// and returns its digest. A layout that was there is replaced; a directory of
// anything else is refused.
func WriteLayout(dir, tag string, index v1.ImageIndex) (v1.Hash, error) {
	if err := removeLayout(dir); err != nil {
		return v1.Hash{}, err
	}
	path, err := layout.Write(dir, empty.Index)
	if err != nil {
		return v1.Hash{}, fmt.Errorf("layout: %w", err)
	}
	named := layout.WithAnnotations(map[string]string{"org.opencontainers.image.ref.name": tag})
	if err := path.AppendIndex(index, named); err != nil {
		return v1.Hash{}, fmt.Errorf("layout: %w", err)
	}
	return index.Digest()
}

func removeLayout(dir string) error {
	switch _, err := os.Stat(filepath.Join(dir, "oci-layout")); {
	case err == nil:
		return os.RemoveAll(dir)
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("layout: %w", err)
	}
	// Refuses a directory that is not empty.
	if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("layout: not replacing what is no layout: %w", err)
	}
	return nil
}

// Push copies the image of a layout that WriteLayout wrote to a registry, its
// bills of materials along, and returns the reference by digest. It logs in with
// what docker, podman or buildah login have left.
func Push(ctx context.Context, dir, reference string) (string, error) {
	to, err := name.ParseReference(reference, name.StrictValidation)
	if err != nil {
		return "", fmt.Errorf("push: %w; give it as REGISTRY/REPOSITORY:TAG", err)
	}
	outer, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		return "", fmt.Errorf("push: no image; `make image` writes one: %w", err)
	}
	manifest, err := outer.IndexManifest()
	if err != nil {
		return "", fmt.Errorf("push: %w", err)
	}
	if n := len(manifest.Manifests); n != 1 {
		return "", fmt.Errorf("push: %s holds %d images; give the layout of one", dir, n)
	}
	digest := manifest.Manifests[0].Digest
	index, err := outer.ImageIndex(digest)
	if err != nil {
		return "", fmt.Errorf("push: %w", err)
	}
	err = remote.WriteIndex(to, index, remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain))
	if err != nil {
		return "", fmt.Errorf("push: %w", err)
	}
	return to.Context().Digest(digest.String()).String(), nil
}
