//go:build !linux

package redistest

import "syscall"

var childAttributes *syscall.SysProcAttr
