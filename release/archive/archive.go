// Package archive writes files as tar, and sums over them, so that the same
// files give the same bytes: in a fixed order, of one owner and one time.
package archive

import (
	"archive/tar"
	"cmp"
	"compress/gzip"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"time"
)

// File is one regular file.
type File struct {
	// Name is slash-separated and relative, as fs.ValidPath wants it.
	Name string
	// Mode holds the permission bits alone.
	Mode fs.FileMode
	Data []byte
}

// Tar writes files, sorted by name, each directory of theirs before what is in
// it. All belong to root and are of the time at, in whole seconds.
func Tar(w io.Writer, files []File, at time.Time) error {
	t := tar.NewWriter(w)
	made := map[string]bool{".": true}
	sorted := slices.SortedFunc(slices.Values(files), func(a, b File) int { return cmp.Compare(a.Name, b.Name) })
	for _, f := range sorted {
		if !fs.ValidPath(f.Name) || made[f.Name] {
			return fmt.Errorf("archive: %q is not a relative path, or there twice", f.Name)
		}
		for _, dir := range parents(f.Name) {
			if made[dir] {
				continue
			}
			made[dir] = true
			if err := t.WriteHeader(header(tar.TypeDir, dir+"/", 0o755, 0, at)); err != nil {
				return fmt.Errorf("archive: %s: %w", dir, err)
			}
		}
		made[f.Name] = true
		if err := t.WriteHeader(header(tar.TypeReg, f.Name, f.Mode, len(f.Data), at)); err != nil {
			return fmt.Errorf("archive: %s: %w", f.Name, err)
		}
		if _, err := t.Write(f.Data); err != nil {
			return fmt.Errorf("archive: %s: %w", f.Name, err)
		}
	}
	return t.Close()
}

// TarGz is Tar through gzip at its best. Its header carries neither name nor
// time.
func TarGz(w io.Writer, files []File, at time.Time) error {
	z, err := gzip.NewWriterLevel(w, gzip.BestCompression)
	if err != nil {
		return err
	}
	if err := Tar(z, files, at); err != nil {
		return err
	}
	return z.Close()
}

// header leaves out what differs between machines: owners' names, devices,
// times of access.
func header(kind byte, name string, mode fs.FileMode, size int, at time.Time) *tar.Header {
	return &tar.Header{
		Typeflag: kind, Name: name, Mode: int64(mode.Perm()), Size: int64(size),
		ModTime: at.UTC().Truncate(time.Second), Format: tar.FormatPAX,
	}
}

// parents returns the directories above name, the outermost first.
func parents(name string) []string {
	var dirs []string
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		dirs = append(dirs, dir)
	}
	slices.Reverse(dirs)
	return dirs
}
