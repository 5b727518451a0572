package ingress

import (
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// HostOptions is what CheckHost is made of. Handler and Logger are required.
type HostOptions struct {
	// Handler is what is asked for.
	Handler http.Handler
	// Hosts are names that it goes by, in any letter case, beside IP addresses and
	// loopback's names.
	Hosts []string
	// Open are paths that are answered to any name, in full.
	Open   []string
	Logger *slog.Logger
}

// CheckHost returns a handler that answers 421 to who asks for a name that is not
// its own. A web page may have a name of its own point at a loopback address or
// into a cluster, and would then read what is served there to whoever sits before
// the browser; the name that it asks for gives it away. Programs that leave the
// name out are let in: browsers never do.
func CheckHost(o HostOptions) (http.Handler, error) {
	if o.Handler == nil || o.Logger == nil {
		return nil, errors.New("ingress: nothing to ask for, or no logger")
	}
	logger := o.Logger.With("component", "ingress")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if o.knows(r.Host) || slices.Contains(o.Open, r.URL.Path) {
			o.Handler.ServeHTTP(w, r)
			return
		}
		logger.LogAttrs(r.Context(), slog.LevelWarn, "request refused", slog.String("method", clip(r.Method)), slog.String("path", clip(r.URL.Path)),
			slog.String("remote", r.RemoteAddr), slog.Int("status", http.StatusMisdirectedRequest), slog.String("host", clip(r.Host)))
		w.Header().Set("X-Content-Type-Options", "nosniff")
		page(w, http.StatusMisdirectedRequest,
			"this port does not go by that name; use an IP address or localhost, or add the name to admin.hosts\n")
	}), nil
}

// knows reports whether a Host header's value is one of the gateway's.
func (o *HostOptions) knows(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	switch {
	case host == "", host == "localhost", strings.HasSuffix(host, ".localhost"):
		return true
	case slices.ContainsFunc(o.Hosts, func(h string) bool { return strings.EqualFold(h, host) }):
		return true
	}
	_, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(host, "["), "]"))
	return err == nil
}
