package filewatch_test

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"kubernaut.io/gateway/filewatch"
)

// watch returns a channel that is told of changes of paths.
func watch(t *testing.T, paths ...string) <-chan struct{} {
	t.Helper()
	changed := make(chan struct{}, 100)
	w, err := filewatch.New(filewatch.Options{
		Paths: paths, Changed: func() { changed <- struct{}{} }, Every: time.Hour, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return changed
}

func mustWrite(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestChangesAreTold(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		prepare func(t *testing.T, dir string)
		change  func(t *testing.T, dir string)
	}{
		{"a file is written", func(t *testing.T, dir string) {
			mustWrite(t, filepath.Join(dir, "a"), "1")
		}, func(t *testing.T, dir string) {
			mustWrite(t, filepath.Join(dir, "a"), "2")
		}},
		{"a file is replaced", func(t *testing.T, dir string) {
			mustWrite(t, filepath.Join(dir, "a"), "1")
		}, func(t *testing.T, dir string) {
			mustWrite(t, filepath.Join(dir, "b"), "2")
			must(t, os.Rename(filepath.Join(dir, "b"), filepath.Join(dir, "a")))
		}},
		{"a file appears in a new folder", func(*testing.T, string) {}, func(t *testing.T, dir string) {
			must(t, os.Mkdir(filepath.Join(dir, "sub"), 0o700))
			mustWrite(t, filepath.Join(dir, "sub", "a"), "1")
		}},
		{"a file is removed", func(t *testing.T, dir string) {
			mustWrite(t, filepath.Join(dir, "a"), "1")
		}, func(t *testing.T, dir string) {
			must(t, os.Remove(filepath.Join(dir, "a")))
		}},
		{"a ConfigMap's volume is swapped", func(t *testing.T, dir string) {
			must(t, os.Mkdir(filepath.Join(dir, "..1"), 0o700))
			mustWrite(t, filepath.Join(dir, "..1", "a"), "1")
			must(t, os.Symlink("..1", filepath.Join(dir, "..data")))
			must(t, os.Symlink(filepath.Join("..data", "a"), filepath.Join(dir, "a")))
		}, func(t *testing.T, dir string) {
			must(t, os.Mkdir(filepath.Join(dir, "..2"), 0o700))
			mustWrite(t, filepath.Join(dir, "..2", "a"), "2")
			must(t, os.Symlink("..2", filepath.Join(dir, "..tmp")))
			must(t, os.Rename(filepath.Join(dir, "..tmp"), filepath.Join(dir, "..data")))
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			test.prepare(t, dir)
			changed := watch(t, dir)
			test.change(t, dir)
			<-changed
		})
	}
}

// TestAFileThatIsNotThereYet is watched for by its folder.
func TestAFileThatIsNotThereYet(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "later")
	changed := watch(t, path)
	mustWrite(t, path, "1")
	<-changed
}
