package config

import (
	"fmt"
	"math"
	"net/netip"
)

// RateLimit bounds how fast signals are taken from a source. The zero RateLimit
// does not bound them.
type RateLimit struct {
	// SignalsPerSecond is how many signals are taken in a second; 0 for no limit.
	// docs/limits.md says what a sender is told.
	SignalsPerSecond float64 `yaml:"signalsPerSecond"`
	// Burst is how many may come at once; 0 for as many as in a second.
	Burst int `yaml:"burst"`
	// PerClient bounds each client of a source without credentials.
	PerClient ClientLimit `yaml:"perClient"`
}

// ClientLimit bounds how fast signals are taken from one client, an IPv4 address
// or a /64 of IPv6. The zero ClientLimit does not bound them.
type ClientLimit struct {
	// SignalsPerSecond is how many signals are taken in a second from each client,
	// an IPv4 address or a /64 of IPv6; 0 for no limit. It is for sources without
	// credentials.
	SignalsPerSecond float64 `yaml:"signalsPerSecond"`
	// Burst is how many may come at once from one client; 0 for as many as in a
	// second.
	Burst int `yaml:"burst"`
}

// Limit returns how many signals a source may send in a second, 0 for any
// number, and how many at once.
func (l RateLimit) Limit() (perSecond float64, burst int) { return limit(l.SignalsPerSecond, l.Burst) }

// Limit returns how many signals a client may send in a second, 0 for any
// number, and how many at once.
func (l ClientLimit) Limit() (perSecond float64, burst int) {
	return limit(l.SignalsPerSecond, l.Burst)
}

func limit(perSecond float64, burst int) (float64, int) {
	if burst == 0 {
		burst = int(math.Ceil(perSecond))
	}
	return perSecond, burst
}

// check checks the limits of a source with the credentials of auth.
func (l RateLimit) check(k *checker, path string, auth []Auth) {
	k.rate(path, l.SignalsPerSecond, l.Burst)
	c := l.PerClient
	k.rate(path+".perClient", c.SignalsPerSecond, c.Burst)
	if c == (ClientLimit{}) {
		return
	}
	for i := range auth {
		if auth[i].None == nil && len(auth[i].kinds()) > 0 {
			k.problem(path+".perClient", "it has no effect on a source with credentials, which are what its senders are known by; leave it out, or limit the source by signalsPerSecond")
			return
		}
	}
	if l.SignalsPerSecond > 0 && c.SignalsPerSecond > l.SignalsPerSecond {
		k.problem(path+".perClient.signalsPerSecond", "%v is more than the source's own %v, so that it has no effect; write less", c.SignalsPerSecond, l.SignalsPerSecond)
	}
}

func (k *checker) rate(path string, perSecond float64, burst int) {
	if perSecond < 0 || perSecond > maxRate {
		k.problem(path+".signalsPerSecond", "%v is not from 0 to %d; 0 means no limit", perSecond, maxRate)
	}
	switch {
	case burst < 0:
		k.problem(path+".burst", "%d is less than 0", burst)
	case burst > 0 && perSecond == 0:
		k.problem(path+".burst", "%d has no effect without signalsPerSecond", burst)
	}
}

// Proxies returns the networks of trusted proxies. Those that Validate refuses are
// left out.
func (w *Webhooks) Proxies() []netip.Prefix {
	var networks []netip.Prefix
	for _, text := range w.TrustedProxies {
		if network, err := parseNetwork(text); err == nil {
			networks = append(networks, network)
		}
	}
	return networks
}

func (w *Webhooks) checkProxies(k *checker) {
	for i, text := range w.TrustedProxies {
		if _, err := parseNetwork(text); err != nil {
			k.problem(fmt.Sprintf("webhooks.trustedProxies[%d]", i), "%v", err)
		}
	}
}

// parseNetwork reads a CIDR, or an address that stands for itself.
func parseNetwork(text string) (netip.Prefix, error) {
	network, err := netip.ParsePrefix(text)
	if addr, ok := netip.ParseAddr(text); ok == nil && addr.Zone() == "" {
		network, err = netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	switch addr := network.Addr(); {
	case err != nil:
		return network, fmt.Errorf("%q is not a network; write one such as 10.1.0.0/16 or fd00:1::/64, or a proxy's address", text)
	case addr.Is4In6():
		return network, fmt.Errorf("%q is IPv4 written as IPv6; write it as IPv4, such as %s", text, addr.Unmap())
	case network.Bits() == 0:
		return network, fmt.Errorf("%q is everyone, who then could name any client they like; write the networks of your proxies alone", text)
	case network != network.Masked():
		return network, fmt.Errorf("%q is an address within a network; write %s for the network, or %s for the one proxy", text, network.Masked(), addr)
	default:
		return network, nil
	}
}
