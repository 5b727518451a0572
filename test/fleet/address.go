package fleet

import (
	"fmt"
	"os"
)

// Loopback returns an address of 127.0.0.0/8 that is this process's own, so that
// servers keep their ports while they are down: nobody else listens there, and
// outgoing connections have other addresses.
func Loopback(n byte) string {
	pid := os.Getpid()
	return fmt.Sprintf("127.%d.%d.%d", 20+pid>>8%200, pid%256, n)
}
