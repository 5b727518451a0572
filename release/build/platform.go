// Package build compiles the gateway for a platform, from a checkout of which it
// tells version, revision and time.
package build

import (
	"fmt"
	"slices"
	"strings"
)

// Platform is what a binary runs on, in the words of GOOS and GOARCH.
type Platform struct{ OS, Arch string }

// Platforms are those that are released, and that ParsePlatforms takes.
var Platforms = []Platform{
	{"darwin", "amd64"}, {"darwin", "arm64"}, {"linux", "amd64"}, {"linux", "arm64"},
}

// String returns the platform as OS/ARCH.
func (p Platform) String() string { return p.OS + "/" + p.Arch }

// ParsePlatforms reads OS/ARCH, once or more often. It takes those of one list
// alone, each once.
func ParsePlatforms(texts []string, of []Platform) ([]Platform, error) {
	if len(texts) == 0 {
		return nil, fmt.Errorf("no platform; give some of %s", join(of))
	}
	var all []Platform
	for _, text := range texts {
		i := slices.IndexFunc(of, func(p Platform) bool { return p.String() == text })
		if i < 0 {
			return nil, fmt.Errorf("platform %q is none of %s", text, join(of))
		}
		if slices.Contains(all, of[i]) {
			return nil, fmt.Errorf("platform %s is there twice", text)
		}
		all = append(all, of[i])
	}
	return all, nil
}

// Linux returns those of all that containers run on.
func Linux(all []Platform) []Platform {
	return slices.DeleteFunc(slices.Clone(all), func(p Platform) bool { return p.OS != "linux" })
}

func join(all []Platform) string {
	texts := make([]string, len(all))
	for i, p := range all {
		texts[i] = p.String()
	}
	return strings.Join(texts, ", ")
}
