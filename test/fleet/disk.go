package fleet

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
)

// ErrNoDisk means that this process may not mount a disk of its own.
var ErrNoDisk = errors.New("no disk can be mounted here")

// Disk is a small file system that can be filled up. It is mounted in a
// namespace of its own, so that nothing is left of it when this process ends,
// and outlasts the processes that use it.
type Disk struct {
	dir    string
	holder *Process
}

// NewDisk mounts a disk of so many bytes at dir, for processes that are started
// on it. The error is ErrNoDisk where that is not allowed.
func NewDisk(dir string, size int64) (*Disk, error) {
	if os.Geteuid() != 0 {
		return nil, ErrNoDisk
	}
	for _, program := range []string{"unshare", "nsenter", "mount"} {
		if _, err := exec.LookPath(program); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrNoDisk, err)
		}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	d := &Disk{dir: dir}
	// What the shell execs keeps its process id, and with that the namespace.
	script := fmt.Sprintf("mount -t tmpfs -o size=%d,mode=700 tmpfs %q && touch %q && exec sleep infinity",
		size, dir, d.path("mounted"))
	d.holder = NewProcess("disk", dir+".log", "unshare", "--mount", "--propagation", "private", "sh", "-c", script)
	if err := d.holder.Start(); err != nil {
		return nil, err
	}
	err := d.holder.await("the mount", func() bool {
		_, err := os.Stat(d.seen("mounted"))
		return err == nil
	})
	if err != nil {
		return nil, errors.Join(ErrNoDisk, err, d.Close())
	}
	return d, nil
}

func (d *Disk) path(name string) string { return filepath.Join(d.dir, name) }

// seen returns the path of a file on the disk as this process sees it.
func (d *Disk) seen(name string) string {
	return filepath.Join("/proc", strconv.Itoa(d.holder.PID()), "root", d.path(name))
}

// Dir returns where processes on the disk see it.
func (d *Disk) Dir() string { return d.dir }

// wrap returns a command that runs on the disk, under the same process id.
func (d *Disk) wrap(command []string) []string {
	return append([]string{"nsenter", "--mount=/proc/" + strconv.Itoa(d.holder.PID()) + "/ns/mnt", "--"}, command...)
}

// Fill takes all room that is left.
func (d *Disk) Fill() error {
	f, err := os.Create(d.seen("ballast"))
	if err != nil {
		return err
	}
	defer f.Close()
	block := make([]byte, 4<<10)
	for {
		if _, err := f.Write(block); errors.Is(err, syscall.ENOSPC) {
			return nil
		} else if err != nil {
			return fmt.Errorf("fill disk: %w", err)
		}
	}
}

// Free gives back what Fill took.
func (d *Disk) Free() error {
	if err := os.Remove(d.seen("ballast")); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// Close unmounts the disk once nothing runs on it.
func (d *Disk) Close() error { return d.holder.Kill() }
