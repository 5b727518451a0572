// Package bom makes a software bill of materials in CycloneDX of a Go binary:
// the modules that the linker put into it, by its own build information.
package bom

import (
	"bytes"
	"fmt"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"
	"github.com/CycloneDX/cyclonedx-gomod/pkg/generate/bin"
	"github.com/rs/zerolog"
)

// MediaType is what Of returns.
const MediaType = "application/vnd.cyclonedx+json"

// Of returns the bill of a binary as JSON: its modules with the standard
// library, with their package URLs and checksums. The main module has the given
// version. The same binary, version and time give the same bytes.
func Of(binary, version string, at time.Time) ([]byte, error) {
	generator, err := bin.NewGenerator(binary,
		bin.WithIncludeStdlib(true), bin.WithVersionOverride(version), bin.WithLogger(zerolog.Nop()))
	if err != nil {
		return nil, fmt.Errorf("bill of materials: %w", err)
	}
	bom, err := generator.Generate()
	if err != nil {
		return nil, fmt.Errorf("bill of materials: %w", err)
	}
	bom.Metadata.Timestamp = at.UTC().Format(time.RFC3339)
	var out bytes.Buffer
	// Newer versions say nothing more of this, and fewer scanners read them.
	if err := cdx.NewBOMEncoder(&out, cdx.BOMFileFormatJSON).SetPretty(true).EncodeVersion(bom, cdx.SpecVersion1_6); err != nil {
		return nil, fmt.Errorf("bill of materials: %w", err)
	}
	return out.Bytes(), nil
}
