package config

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

// endpoint is where a server listens. The zero endpoint is none.
type endpoint struct {
	host string
	port uint16
}

func parseEndpoint(address string) (endpoint, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return endpoint{}, errors.New("write HOST:PORT, or :PORT for every interface")
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return endpoint{}, fmt.Errorf("the port %q is not a number from 0 to 65535", port)
	}
	name, _, _ := strings.Cut(host, "%")
	if host != "" && net.ParseIP(name) == nil && len(validation.IsDNS1123Subdomain(strings.ToLower(host))) > 0 {
		return endpoint{}, fmt.Errorf("the host %q is neither an IP address nor a name", host)
	}
	return endpoint{host: host, port: uint16(n)}, nil
}

func (e endpoint) loopback() bool {
	return strings.EqualFold(e.host, "localhost") || net.ParseIP(e.host).IsLoopback()
}

// meets reports whether two servers can't listen on both endpoints. Port 0 is a
// free one each time.
func (e endpoint) meets(other endpoint) bool {
	return e.port != 0 && e.port == other.port && (e.host == other.host || e.wildcard() || other.wildcard())
}

func (e endpoint) wildcard() bool {
	return e.host == "" || net.ParseIP(e.host).IsUnspecified()
}
