package fleet

import "syscall"

// A process that is killed, by its timeout say, cleans nothing up.
func init() {
	childAttributes = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
