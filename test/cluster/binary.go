package cluster

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// Binary returns the path of devcluster: that in the environment's
// DEVCLUSTER_BIN, else bin/devcluster of this module, built if it is missing.
func Binary() (string, error) {
	if path := os.Getenv("DEVCLUSTER_BIN"); path != "" {
		return path, nil
	}
	root, err := moduleRoot()
	if err != nil {
		return "", err
	}
	path := filepath.Join(root, "bin", "devcluster")
	if isFile(path) {
		return path, nil
	}
	if err := build(filepath.Join(root, "devcluster", "build.sh"), path); err != nil {
		return "", fmt.Errorf("build devcluster: %w", err)
	}
	return path, nil
}

// moduleRoot returns the nearest directory with a go.mod, from the working
// directory up; a test's working directory is that of its package.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find module root: %w", err)
	}
	for !isFile(filepath.Join(dir, "go.mod")) {
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("find module root: no go.mod in the working directory or above it")
		}
		dir = parent
	}
	return dir, nil
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// build runs script to make out. Test binaries of several packages run at once;
// all but one wait for the one that builds.
func build(script, out string) error {
	if err := os.MkdirAll(filepath.Dir(out), 0o755); err != nil {
		return err
	}
	lock, err := os.OpenFile(out+".lock", os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return fmt.Errorf("lock %s: %w", lock.Name(), err)
	}
	if isFile(out) {
		return nil
	}
	cmd := exec.Command(script, out)
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	return cmd.Run()
}
