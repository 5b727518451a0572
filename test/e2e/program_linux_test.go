package e2e_test

import "syscall"

// A test binary that is killed, by its timeout say, cleans nothing up.
func init() {
	childAttributes = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
