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

// TestWhatLiesBesideIsNotTold waits longer than a change may take to be told.
func TestWhatLiesBesideIsNotTold(t *testing.T) {
	t.Parallel()
	const settleAndLongest = 50*time.Millisecond + time.Second
	tests := []struct {
		name   string
		watch  string // in the directory
		beside []string
		own    string
	}{
		{"a log beside a file", "gateway.yaml", []string{"gateway.log", "gateway.yaml~", ".gateway.yaml.swp", "other.yaml"}, "gateway.yaml"},
		{"a log beside a folder", "policies", []string{"gateway.log"}, filepath.Join("policies", "a.rego")},
		{"hidden names in a folder", "policies", []string{
			filepath.Join("policies", ".a.rego.swp"), filepath.Join("policies", ".git", "index"), filepath.Join("policies", "sub", ".x"),
		}, filepath.Join("policies", "sub", "data.json")},
		{"a volume's link beside a file", "gateway.yaml", []string{"gateway.log"}, "..data"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			for _, sub := range []string{"policies/sub", "policies/.git"} {
				must(t, os.MkdirAll(filepath.Join(dir, sub), 0o700))
			}
			changed := watch(t, filepath.Join(dir, test.watch))
			for _, name := range test.beside {
				mustWrite(t, filepath.Join(dir, name), "1")
			}
			select {
			case <-changed:
				t.Fatal("what lies beside is told")
			case <-time.After(settleAndLongest):
			}
			mustWrite(t, filepath.Join(dir, test.own), "1")
			<-changed
		})
	}
}

// TestARelativePath is told of: the folder that is watched is written otherwise
// than what is told of it.
func TestARelativePath(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, path := range []string{"a", "./b", "sub/../c"} {
		must(t, os.MkdirAll("sub", 0o700))
		changed := watch(t, path)
		mustWrite(t, path, "1")
		<-changed
	}
}
