package config

import (
	"os"
	"path/filepath"
)

const (
	// minAuditBytes is what a file of an audit log has room for at least, some
	// hundred lines.
	minAuditBytes = 64 << 10
	// minAuditFiles are the one that is written and the one before it.
	minAuditFiles = 2
	// maxAuditFiles is beyond what anybody keeps on one disk.
	maxAuditFiles = 10_000
)

func (a *Audit) check(k *checker) {
	if a.MaxBytes < minAuditBytes {
		k.problem("audit.maxBytes", "%d is less than %d", a.MaxBytes, minAuditBytes)
	}
	if n := a.MaxFiles; n < minAuditFiles || n > maxAuditFiles {
		k.problem("audit.maxFiles", "%d is not from %d, the one that is written and the one before it, to %d", n, minAuditFiles, maxAuditFiles)
	}
	k.file("audit.keyFile", a.KeyFile)
	switch a.File {
	case "":
		if a.KeyFile != "" {
			k.problem("audit.keyFile", "it has no effect without audit.file; write where the audit log goes")
		}
	case AuditStream:
	default:
		a.checkFile(k)
	}
}

// checkFile checks where the log is written, as far as one can tell before.
func (a *Audit) checkFile(k *checker) {
	if info, err := os.Stat(a.File); err == nil && !info.Mode().IsRegular() {
		k.problem("audit.file", "%s is not a file; write a file's name, or %q for standard output", a.File, AuditStream)
	}
	dir := filepath.Dir(a.File)
	switch info, err := os.Stat(dir); {
	case err != nil:
		k.problem("audit.file", "its folder %s can't be had: %v; make it, and let the gateway's user write there", dir, err)
	case !info.IsDir():
		k.problem("audit.file", "%s is not a folder", dir)
	}
}
