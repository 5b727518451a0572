package ingress

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// The headers in which proxies say for whom they send.
const (
	headerForwardedFor = "X-Forwarded-For"
	headerForwarded    = "Forwarded"
)

// maxHops bounds how many proxies are followed. Real chains have less than ten.
const maxHops = 32

// Proxies are the networks of those who are believed when they say for whom they
// send. There are none in the zero Proxies, for which such headers mean nothing.
type Proxies []netip.Prefix

// Client returns from where a request comes, by its connection's other end and its
// header: an address without a zone, IPv4 as such. That is the connection's other end,
// unless this is a trusted proxy: then what it forwards for, and so on through
// further trusted ones. Only what a trusted one has written is believed, so that
// the list is walked from its end; where an entry can't be read, the one that
// passed it on stands for whatever is behind it.
//
// A proxy sets one of the two headers and may pass on the other as the sender
// wrote it. Where both are there and lead to different clients, none is believed.
func (p Proxies) Client(peer netip.Addr, header http.Header) netip.Addr {
	peer = plainAddr(peer)
	if !p.trust(peer) {
		return peer
	}
	var clients []netip.Addr
	if lines := header[headerForwardedFor]; len(lines) > 0 {
		clients = append(clients, p.walk(peer, listed(lines)))
	}
	if lines := header[headerForwarded]; len(lines) > 0 {
		clients = append(clients, p.walk(peer, forwarded(lines)))
	}
	if len(clients) == 0 || clients[0] != clients[len(clients)-1] {
		return peer
	}
	return clients[0]
}

// walk follows hops from the last to the first, until one is no trusted proxy.
func (p Proxies) walk(peer netip.Addr, hops []string) netip.Addr {
	client := peer
	for i, hop := range slices.Backward(hops) {
		if len(hops)-i > maxHops {
			return client
		}
		addr, ok := hopAddr(hop)
		if !ok {
			return client
		}
		client = addr
		if !p.trust(addr) {
			return client
		}
	}
	return client
}

func (p Proxies) trust(addr netip.Addr) bool {
	return slices.ContainsFunc(p, func(network netip.Prefix) bool { return network.Contains(addr) })
}

// listed returns the elements of X-Forwarded-For, of several lines in their
// order. Empty ones mean nothing.
func listed(lines []string) []string {
	var hops []string
	for _, line := range lines {
		for hop := range strings.SplitSeq(line, ",") {
			if hop = strings.Trim(hop, " \t"); hop != "" {
				hops = append(hops, hop)
			}
		}
	}
	return hops
}

// forwarded returns what the elements of Forwarded, by RFC 7239, say of for whom
// they are: an empty text where they say nothing or can't be read.
func forwarded(lines []string) []string {
	var hops []string
	for _, line := range lines {
		for _, element := range cut(line, ',') {
			if element != "" {
				hops = append(hops, forwardedFor(element))
			}
		}
	}
	return hops
}

// forwardedFor returns for whom one element is. All of it has to be right: in one
// with a stray quote a sender may have swallowed what a proxy added.
func forwardedFor(element string) string {
	hop, found := "", false
	for _, pair := range cut(element, ';') {
		name, value, _ := strings.Cut(pair, "=")
		value, ok := unquote(value)
		if !ok || strings.ContainsAny(name, "\", \t") {
			return ""
		}
		if !strings.EqualFold(name, "for") {
			continue
		}
		if found {
			return ""
		}
		hop, found = value, true
	}
	return hop
}

// cut splits s at separators that are not within quotes, and trims the parts. A
// quote that is not closed reaches to the end.
func cut(s string, separator byte) []string {
	var parts []string
	begin, quoted := 0, false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case c == separator && !quoted:
			parts = append(parts, strings.Trim(s[begin:i], " \t"))
			begin = i + 1
		}
	}
	return append(parts, strings.Trim(s[begin:], " \t"))
}

// unquote returns the content of a quoted text, and one without quotes as it is.
// It reports false for any other. Nothing with a backslash in it is an address.
func unquote(s string) (string, bool) {
	inner, found := strings.CutPrefix(s, `"`)
	if !found {
		return s, !strings.Contains(s, `"`)
	}
	for i := 0; i < len(inner); i++ {
		switch inner[i] {
		case '\\':
			i++
		case '"':
			return inner[:i], i == len(inner)-1
		}
	}
	return "", false
}

// hopAddr reads an address with or without a port, IPv6 in brackets or not.
func hopAddr(hop string) (netip.Addr, bool) {
	if inner, found := strings.CutPrefix(hop, "["); found && strings.HasSuffix(inner, "]") {
		addr, err := netip.ParseAddr(strings.TrimSuffix(inner, "]"))
		return plainAddr(addr), err == nil && addr.Is6()
	}
	if addr, err := netip.ParseAddr(hop); err == nil {
		return plainAddr(addr), true
	}
	at, err := netip.ParseAddrPort(hop)
	return plainAddr(at.Addr()), err == nil
}

// plainAddr returns an address as there is only one of for each machine: IPv4 as
// such and without a zone.
func plainAddr(addr netip.Addr) netip.Addr { return addr.Unmap().WithZone("") }

// remote returns the address of a connection's other end, an invalid one where
// that is none.
func remote(r *http.Request) netip.Addr {
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return at.Addr()
}

// client returns from where a request comes, as text: with its port where that is
// known.
func (h *Handler) client(r *http.Request) string {
	if len(h.TrustedProxies) == 0 {
		return r.RemoteAddr
	}
	peer := remote(r)
	client := h.TrustedProxies.Client(peer, r.Header)
	if client == plainAddr(peer) {
		return r.RemoteAddr
	}
	return client.String()
}
