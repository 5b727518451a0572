package build

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// settings are all that changes what the compiler writes, so that the caller's
// environment does not: without C, without the checkout's path and state, for
// the oldest processors of an architecture.
var settings = []string{
	"CGO_ENABLED=0", "GOFLAGS=-trimpath -buildvcs=false", "GOWORK=off",
	"GOAMD64=v1", "GOARM64=v8.0", "GOEXPERIMENT=", "GOFIPS140=off",
}

// Source is a checkout of the gateway.
type Source struct {
	// Dir is its root.
	Dir string
	// Version is what the binary calls itself, as git describes it; "devel"
	// without git.
	Version string
	// Revision is the commit's full hash; empty without git.
	Revision string
	// Time is the commit's, which everything made of it bears. Without git it is
	// the start of 1970.
	Time time.Time
}

// Describe asks git about the checkout in dir. One without git (an unpacked
// archive, say) is as good.
func Describe(ctx context.Context, dir string) (Source, error) {
	s := Source{Dir: dir, Version: "devel", Time: time.Unix(0, 0).UTC()}
	if _, err := os.Stat(filepath.Join(dir, ".git")); errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	var err error
	if s.Version, err = git(ctx, dir, "describe", "--tags", "--always", "--dirty"); err != nil {
		return Source{}, err
	}
	if s.Revision, err = git(ctx, dir, "rev-parse", "HEAD"); err != nil {
		return Source{}, err
	}
	seconds, err := git(ctx, dir, "log", "-1", "--format=%ct")
	if err != nil {
		return Source{}, err
	}
	s.Time, err = ParseEpoch(seconds)
	return s, err
}

// ParseEpoch reads seconds since 1970, as SOURCE_DATE_EPOCH gives them.
func ParseEpoch(seconds string) (time.Time, error) {
	n, err := strconv.ParseUint(seconds, 10, 40)
	if err != nil {
		return time.Time{}, fmt.Errorf("time of the source: %q is not a number of seconds since 1970", seconds)
	}
	return time.Unix(int64(n), 0).UTC(), nil
}

func git(ctx context.Context, dir string, arguments ...string) (string, error) {
	out, err := run(exec.CommandContext(ctx, "git", append([]string{"-C", dir}, arguments...)...))
	return strings.TrimSpace(out), err
}

// Binary compiles the gateway for p and writes it to out.
func (s Source) Binary(ctx context.Context, p Platform, out string) error {
	out, err := filepath.Abs(out)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "go", "-C", s.Dir, "build",
		"-ldflags", "-s -w -X main.version="+s.Version, "-o", out, "./cmd/gateway")
	cmd.Env = append(append(os.Environ(), settings...), "GOOS="+p.OS, "GOARCH="+p.Arch)
	_, err = run(cmd)
	return err
}

func run(cmd *exec.Cmd) (string, error) {
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, stderr.Bytes())
	}
	return stdout.String(), nil
}
