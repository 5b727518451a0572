package auth

import (
	"crypto/x509"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

// san is a name that a certificate may have.
type san struct {
	matches func(*x509.Certificate) bool
}

// parseSAN reads a name by its form: with :// it is a URI, with @ an email
// address, else an IP address or a host. It is compared with a certificate's
// names of that sort alone.
func parseSAN(text string) (san, error) {
	if strings.Contains(text, "://") {
		u, err := url.Parse(text)
		if err != nil || u.Host == "" {
			return san{}, fmt.Errorf("%q is not a URI; write one such as spiffe://example.org/ns/monitoring/sa/alertmanager", text)
		}
		return san{func(c *x509.Certificate) bool {
			return slices.ContainsFunc(c.URIs, func(has *url.URL) bool { return has.String() == u.String() })
		}}, nil
	}
	if user, host, ok := strings.Cut(text, "@"); ok {
		if user == "" || len(validation.IsDNS1123Subdomain(strings.ToLower(host))) > 0 {
			return san{}, fmt.Errorf("%q is not an email address", text)
		}
		return san{func(c *x509.Certificate) bool {
			return slices.ContainsFunc(c.EmailAddresses, func(has string) bool { return sameAddress(has, user, host) })
		}}, nil
	}
	if ip := net.ParseIP(text); ip != nil {
		return san{func(c *x509.Certificate) bool { return slices.ContainsFunc(c.IPAddresses, ip.Equal) }}, nil
	}
	return hostSAN(text)
}

// sameAddress compares email addresses: hosts in any letter case, users in
// theirs.
func sameAddress(address, user, host string) bool {
	at := strings.LastIndexByte(address, '@')
	return at >= 0 && address[:at] == user && strings.EqualFold(address[at+1:], host)
}

// hostSAN reads a host's name, the first label of which may be *, which stands
// for one label whatever it is.
func hostSAN(text string) (san, error) {
	host := strings.ToLower(text)
	domain, wild := strings.CutPrefix(host, "*.")
	if len(validation.IsDNS1123Subdomain(domain)) > 0 {
		return san{}, fmt.Errorf("%q is neither a host nor an IP address, URI or email address; write one such as alertmanager.monitoring.svc or *.example.org", text)
	}
	return san{func(c *x509.Certificate) bool {
		return slices.ContainsFunc(c.DNSNames, func(has string) bool {
			has = strings.ToLower(has)
			if !wild {
				return has == host
			}
			label, rest, _ := strings.Cut(has, ".")
			return label != "" && rest == domain
		})
	}}, nil
}
