package redistest

import "syscall"

// A test binary that is killed, by its timeout say, cleans nothing up.
var childAttributes = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
