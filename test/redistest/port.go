package redistest

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
)

// Ports are taken from below those that the kernel gives to outgoing
// connections: else somebody's might take the port of a server that is down, and
// a client that dials it again and again might end up connected to itself.
const (
	lowestPort  = 12000
	highestPort = 32000
	// portAttempts is how often another port is tried. Somebody else may take
	// one between the look and the start.
	portAttempts = 20
)

// freePort returns a port of 127.0.0.1 that nobody listens on.
func freePort() (port int, err error) {
	for range portAttempts {
		port = lowestPort + rand.IntN(highestPort-lowestPort)
		listener, listenErr := net.Listen("tcp", address(port))
		if listenErr != nil {
			err = listenErr
			continue
		}
		return port, listener.Close()
	}
	return 0, fmt.Errorf("find a free port: %w", err)
}

func address(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
