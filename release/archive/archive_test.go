package archive_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"kubernaut.io/gateway/release/archive"
)

var at = time.Date(2026, 5, 4, 3, 2, 1, 999, time.FixedZone("", 3600))

func TestTarGz(t *testing.T) {
	files := []archive.File{
		{Name: "etc/ssl/roots", Mode: 0o644, Data: []byte("roots")},
		{Name: "gateway", Mode: 0o755, Data: []byte("binary")},
		{Name: "etc/hosts", Mode: 0o600},
	}
	var packed, again bytes.Buffer
	if err := archive.TarGz(&packed, files, at); err != nil {
		t.Fatal(err)
	}
	slices.Reverse(files)
	if err := archive.TarGz(&again, files, at.UTC()); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(packed.Bytes(), again.Bytes()) {
		t.Error("another order and time zone give other bytes")
	}

	z, err := gzip.NewReader(&packed)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprintf("%s %o %d:%d %q", h.Name, h.Mode, h.Uid, h.Gid, data))
		if !h.ModTime.Equal(at.Truncate(time.Second)) {
			t.Errorf("%s is of %v, want %v", h.Name, h.ModTime, at)
		}
	}
	want := []string{
		`etc/ 755 0:0 ""`, `etc/hosts 600 0:0 ""`, `etc/ssl/ 755 0:0 ""`, `etc/ssl/roots 644 0:0 "roots"`, `gateway 755 0:0 "binary"`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("it holds\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestTarRefuses(t *testing.T) {
	for name, files := range map[string][]archive.File{
		"absolute": {{Name: "/etc/hosts"}},
		"above":    {{Name: "../hosts"}},
		"twice":    {{Name: "hosts"}, {Name: "hosts"}},
		"nothing":  {{Name: ""}},
	} {
		if err := archive.Tar(io.Discard, files, at); err == nil {
			t.Errorf("%s: %v is taken", name, files)
		}
	}
}

// TestChecksums: coreutils agree.
func TestChecksums(t *testing.T) {
	dir := t.TempDir()
	if err := archive.Checksums(dir); err == nil {
		t.Error("an empty directory is taken")
	}
	for _, name := range []string{"b.tar.gz", "a.json"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// The second finds the first's file.
	for range 2 {
		if err := archive.Checksums(dir); err != nil {
			t.Fatal(err)
		}
	}
	check := exec.Command("sha256sum", "--check", "--strict", archive.SumsName)
	check.Dir = dir
	out, err := check.CombinedOutput()
	if want := "a.json: OK\nb.tar.gz: OK\n"; err != nil || string(out) != want {
		t.Errorf("sha256sum: %v\n%s\nwant\n%s", err, out, want)
	}
}
