package oci

import (
	"bytes"
	"encoding/json"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// emptyConfig is what artifacts that are no images have for a configuration, by
// the OCI image specification 1.1.
const (
	emptyConfig     = "{}"
	emptyConfigType = types.MediaType("application/vnd.oci.empty.v1+json")
)

// attachment is a manifest of one document about a subject. A registry lists it
// among the subject's referrers.
type attachment struct {
	manifest []byte
	layer    v1.Layer
}

// attach returns data as an artifact about subject. Its type is that of data.
func attach(subject v1.Descriptor, data []byte, kind types.MediaType, annotations map[string]string) (v1.Image, error) {
	layer := static.NewLayer(data, kind)
	content, err := partial.Descriptor(layer)
	if err != nil {
		return nil, fmt.Errorf("attachment: %w", err)
	}
	config, size, err := v1.SHA256(bytes.NewReader([]byte(emptyConfig)))
	if err != nil {
		return nil, fmt.Errorf("attachment: %w", err)
	}
	manifest, err := json.Marshal(v1.Manifest{
		SchemaVersion: 2,
		MediaType:     types.OCIManifestSchema1,
		ArtifactType:  string(kind),
		Config:        v1.Descriptor{MediaType: emptyConfigType, Size: size, Digest: config},
		Layers:        []v1.Descriptor{*content},
		Subject:       &v1.Descriptor{MediaType: subject.MediaType, Size: subject.Size, Digest: subject.Digest},
		Annotations:   annotations,
	})
	if err != nil {
		return nil, fmt.Errorf("attachment: %w", err)
	}
	return partial.CompressedToImage(&attachment{manifest: manifest, layer: layer})
}

// RawConfigFile implements partial.CompressedImageCore, as do the other methods.
func (a *attachment) RawConfigFile() ([]byte, error) { return []byte(emptyConfig), nil }

// MediaType returns that of the manifest.
func (a *attachment) MediaType() (types.MediaType, error) { return types.OCIManifestSchema1, nil }

// RawManifest returns the manifest as it is stored.
func (a *attachment) RawManifest() ([]byte, error) { return a.manifest, nil }

// LayerByDigest returns the document.
func (a *attachment) LayerByDigest(want v1.Hash) (partial.CompressedLayer, error) {
	if got, err := a.layer.Digest(); err != nil || got != want {
		return nil, fmt.Errorf("attachment has no layer %s", want)
	}
	return a.layer, nil
}
