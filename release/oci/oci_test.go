package oci_test

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"kubernaut.io/gateway/release/bom"
	"kubernaut.io/gateway/release/build"
	"kubernaut.io/gateway/release/oci"
)

var about = oci.About{Version: "v0.1.0", Revision: strings.Repeat("a", 40), Created: time.Unix(1700000000, 0)}

// mustIndex returns an image for two platforms whose binaries say for which.
func mustIndex(t *testing.T) v1.ImageIndex {
	t.Helper()
	var variants []oci.Variant
	for _, p := range build.Linux(build.Platforms) {
		variants = append(variants, oci.Variant{
			Platform: p, Binary: []byte("for " + p.Arch), SBOM: []byte(`{"bomFormat":"CycloneDX","of":"` + p.Arch + `"}`),
		})
	}
	index, err := oci.Index(about, variants)
	if err != nil {
		t.Fatal(err)
	}
	return index
}

func TestLayout(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "oci")
	want, err := oci.WriteLayout(dir, about.Version, mustIndex(t))
	if err != nil {
		t.Fatal(err)
	}
	// Over one that is there.
	if got, err := oci.WriteLayout(dir, about.Version, mustIndex(t)); err != nil || got != want {
		t.Errorf("once more it is %v, %v, want %v", got, err, want)
	}
	outer, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := outer.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	if len(manifest.Manifests) != 1 || manifest.Manifests[0].Digest != want {
		t.Fatalf("it lists %+v, want %v alone", manifest.Manifests, want)
	}
	index, err := outer.ImageIndex(want)
	if err != nil {
		t.Fatal(err)
	}
	inner, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	// Images and what is attached to them; the library's check takes images alone.
	for i, p := range build.Linux(build.Platforms) {
		d := inner.Manifests[i]
		if d.Platform.String() != p.String() || d.ArtifactType != "" {
			t.Errorf("entry %d is %+v, want the image for %s", i, d, p)
		}
		image, err := index.Image(d.Digest)
		if err != nil {
			t.Fatal(err)
		}
		if err := validate.Image(image); err != nil {
			t.Errorf("%s: %v", p, err)
		}
	}
	for _, d := range inner.Manifests[2:] {
		if d.Platform.OS != "unknown" || d.ArtifactType != bom.MediaType {
			t.Errorf("%+v could be taken for an image", d)
		}
	}
}

func TestLayoutReplacesNothingElse(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "thesis"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := oci.WriteLayout(dir, about.Version, mustIndex(t)); err == nil {
		t.Error("a directory of somebody else's is replaced")
	}
	if _, err := os.Stat(filepath.Join(dir, "thesis")); err != nil {
		t.Error(err)
	}
}

// TestPush: a registry gives each platform its image, and its bill of materials to
// those who ask what refers to the image; one that does not know of referrers
// keeps them under a tag.
func TestPush(t *testing.T) {
	for name, knows := range map[string]bool{"referrers": true, "no referrers": false} {
		t.Run(name, func(t *testing.T) { testPush(t, knows) })
	}
}

func testPush(t *testing.T, referrers bool) {
	server := httptest.NewServer(registry.New(registry.WithReferrersSupport(referrers), registry.Logger(slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo))))
	t.Cleanup(server.Close)
	dir := filepath.Join(t.TempDir(), "oci")
	digest, err := oci.WriteLayout(dir, about.Version, mustIndex(t))
	if err != nil {
		t.Fatal(err)
	}
	repository := strings.TrimPrefix(server.URL, "http://") + "/kubernaut/gateway-service"
	pushed, err := oci.Push(t.Context(), dir, repository+":v0.1.0")
	if err != nil || pushed != repository+"@"+digest.String() {
		t.Fatalf("pushed as %s, %v, want %s", pushed, err, digest)
	}

	ref, err := name.ParseReference(repository + ":v0.1.0")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range build.Linux(build.Platforms) {
		image, err := remote.Image(ref, remote.WithPlatform(v1.Platform{OS: p.OS, Architecture: p.Arch}))
		if err != nil {
			t.Fatal(err)
		}
		config, err := image.ConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		if config.Architecture != p.Arch || config.Config.User != oci.User ||
			config.Config.Labels["org.opencontainers.image.revision"] != about.Revision {
			t.Errorf("%s is %+v", p, config)
		}
		own, err := image.Digest()
		if err != nil {
			t.Fatal(err)
		}
		if bill := mustReferrer(t, ref.Context().Digest(own.String())); !bytes.Contains(bill, []byte(`"of":"`+p.Arch+`"`)) {
			t.Errorf("to %s is attached %s", p, bill)
		}
	}
}

// mustReferrer returns the one document that refers to an image.
func mustReferrer(t *testing.T, of name.Digest) []byte {
	t.Helper()
	index, err := remote.Referrers(of)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	if len(manifest.Manifests) != 1 {
		t.Fatalf("%s has the referrers %+v, want one", of, manifest.Manifests)
	}
	artifact, err := remote.Image(of.Context().Digest(manifest.Manifests[0].Digest.String()))
	if err != nil {
		t.Fatal(err)
	}
	layers, err := artifact.Layers()
	if err != nil {
		t.Fatal(err)
	}
	content, err := layers[0].Compressed()
	if err != nil {
		t.Fatal(err)
	}
	defer content.Close()
	data, err := io.ReadAll(content)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestPushRefuses(t *testing.T) {
	for reference, wrong := range map[string]string{
		"":                     "REGISTRY/REPOSITORY:TAG",
		"gateway":              "REGISTRY/REPOSITORY:TAG",
		"127.0.0.1:1/GATEWAY:": "REGISTRY/REPOSITORY:TAG",
		"127.0.0.1:1/x:v0.1.0": "make image",
	} {
		if _, err := oci.Push(t.Context(), t.TempDir(), reference); err == nil || !strings.Contains(err.Error(), wrong) {
			t.Errorf("%q: %v, want %q", reference, err, wrong)
		}
	}
}

// TestAuthorities: Go reads all of them, those of well-known services among them.
func TestAuthorities(t *testing.T) {
	names := map[string]bool{}
	for rest := oci.Authorities(); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			if len(rest) > 0 {
				t.Errorf("%d bytes are no certificate", len(rest))
			}
			break
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		names[certificate.Subject.CommonName] = true
	}
	for _, want := range []string{"ISRG Root X1", "Amazon Root CA 1", "DigiCert Global Root G2", "GTS Root R1"} {
		if !names[want] {
			t.Errorf("%s is missing", want)
		}
	}
	if len(names) < 100 {
		t.Errorf("there are %d", len(names))
	}
}
