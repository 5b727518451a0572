// Package oci makes the gateway's container image: nothing but the static binary
// and the certificates of public authorities, run by a user without a name or
// rights. It needs no container engine. The same input gives the same digests.
package oci

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"kubernaut.io/gateway/release/archive"
	"kubernaut.io/gateway/release/build"
)

// User is who the gateway runs as, by number, so that Kubernetes' runAsNonRoot
// can tell that it is not root. The number is that of distroless images'
// nonroot.
const User = "65532:65532"

// About is what an image says of itself.
type About struct {
	Version, Revision string
	Created           time.Time
}

// labels returns what goes into the image's configuration as labels and into
// manifests as annotations. The names are those of the OCI image specification.
func (a About) labels() map[string]string {
	all := map[string]string{
		"org.opencontainers.image.title":       "gateway-service",
		"org.opencontainers.image.description": "Signal gateway for Kubernetes remediation",
		"org.opencontainers.image.licenses":    "Apache-2.0",
		"org.opencontainers.image.version":     a.Version,
		"org.opencontainers.image.created":     a.Created.UTC().Format(time.RFC3339),
		"org.opencontainers.image.revision":    a.Revision,
	}
	maps.DeleteFunc(all, func(_, value string) bool { return value == "" })
	return all
}

// Variant is what the image has for one platform.
type Variant struct {
	Platform build.Platform
	// Binary is the gateway, SBOM its bill of materials in CycloneDX.
	Binary, SBOM []byte
}

// Files returns the whole file system of the image. The gateway carries the time
// zones in itself.
func (v Variant) Files() []archive.File {
	return []archive.File{
		{Name: "gateway", Mode: 0o755, Data: v.Binary},
		{Name: "etc/ssl/certs/ca-certificates.crt", Mode: 0o644, Data: Authorities()},
	}
}

// image returns the image of one platform.
func (v Variant) image(about About) (v1.Image, error) {
	var files bytes.Buffer
	if err := archive.Tar(&files, v.Files(), about.Created); err != nil {
		return nil, err
	}
	opener := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(files.Bytes())), nil }
	layer, err := tarball.LayerFromOpener(opener,
		tarball.WithCompressionLevel(9), tarball.WithMediaType(types.OCILayer))
	if err != nil {
		return nil, fmt.Errorf("layer: %w", err)
	}
	created := v1.Time{Time: about.Created.UTC()}
	image, err := mutate.ConfigFile(mutate.MediaType(empty.Image, types.OCIManifestSchema1), &v1.ConfigFile{
		Architecture: v.Platform.Arch,
		OS:           v.Platform.OS,
		Created:      created,
		RootFS:       v1.RootFS{Type: "layers"},
		Config: v1.Config{
			User:         User,
			Entrypoint:   []string{"/gateway"},
			Cmd:          []string{"serve", "--config", "/etc/gateway/gateway.yaml"},
			WorkingDir:   "/",
			ExposedPorts: map[string]struct{}{"8080/tcp": {}, "9090/tcp": {}},
			Labels:       about.labels(),
		},
	})
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	image, err = mutate.Append(mutate.ConfigMediaType(image, types.OCIConfigJSON), mutate.Addendum{
		Layer:   layer,
		History: v1.History{Created: created, CreatedBy: "gateway and certificates"},
	})
	if err != nil {
		return nil, fmt.Errorf("image: %w", err)
	}
	return plain{mutate.Annotations(image, about.labels()).(v1.Image)}, nil
}

// plain is an image that an index lists as an image, and not as an artifact of
// the type of its configuration.
type plain struct{ v1.Image }

// ArtifactType returns none.
func (plain) ArtifactType() (string, error) { return "", nil }
