package auth

import (
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/cache"

	"kubernaut.io/gateway/ingress"
)

// verifiedFor is for how long a certificate is not verified again. What is
// remembered goes with the authorities, whenever they change.
const verifiedFor = time.Minute

// Authority is who vouches for clients: the certificates of a file.
type Authority struct {
	*file[roots]
}

// roots are certificates that are trusted, and which others were found to be
// signed by them.
type roots struct {
	pool     *x509.CertPool
	verified *cache.LRUExpireCache
}

// NewAuthority reads certificates in PEM.
func NewAuthority(caFile string) (*Authority, error) {
	f, err := open(caFile, parseRoots)
	return &Authority{f}, err
}

func parseRoots(data []byte) (roots, error) {
	certificates, err := parseCertificates(data)
	if err != nil {
		return roots{}, err
	}
	pool := x509.NewCertPool()
	for _, c := range certificates {
		pool.AddCert(c)
	}
	return roots{pool: pool, verified: cache.NewLRUExpireCache(maxVerdicts)}, nil
}

// MTLS lets in who has a certificate that an authority vouches for. A listener
// has to ask for it; that it is verified here, for each request, has a change of
// authorities and the end of a certificate be in force on open connections too.
type MTLS struct {
	authority *Authority
	allowed   []san
}

// NewMTLS returns a method for certificates with one of the names: of a host
// (also as *.example.org for any one label), an IP address, a URI or an email
// address. Without names any certificate will do.
func NewMTLS(authority *Authority, allowedSANs []string) (*MTLS, error) {
	if authority == nil {
		return nil, errors.New("auth: mtls: no authority")
	}
	m := &MTLS{authority: authority}
	for _, text := range allowedSANs {
		s, err := parseSAN(text)
		if err != nil {
			return nil, err
		}
		m.allowed = append(m.allowed, s)
	}
	return m, nil
}

// Kind implements Method.
func (*MTLS) Kind() Kind { return KindMTLS }

func (m *MTLS) authenticate(r *http.Request) error {
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return &failure{kind: KindMTLS, reason: Missing}
	}
	chain := r.TLS.PeerCertificates
	if err := m.authority.get().verify(chain); err != nil {
		reason := Untrusted
		if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok && invalid.Reason == x509.Expired {
			reason = Stale
		}
		return &failure{kind: KindMTLS, reason: reason, cause: err}
	}
	if !m.allows(chain[0]) {
		return &failure{kind: KindMTLS, reason: Forbidden, cause: fmt.Errorf("a certificate for %s", names(chain[0]))}
	}
	ingress.Identify(r, names(chain[0]))
	return nil
}

// verify returns an error unless the first of a chain is good for a client.
func (r *roots) verify(chain []*x509.Certificate) error {
	sum := sha256.New()
	for _, c := range chain {
		sum.Write(c.Raw)
	}
	var key digest
	sum.Sum(key[:0])
	now := time.Now()
	if until, ok := r.verified.Get(key); ok && now.Before(until.(time.Time)) {
		return nil
	}
	intermediates := x509.NewCertPool()
	for _, c := range chain[1:] {
		intermediates.AddCert(c)
	}
	found, err := chain[0].Verify(x509.VerifyOptions{
		Roots: r.pool, Intermediates: intermediates, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return err
	}
	until := now.Add(verifiedFor)
	for _, c := range found[0] {
		if c.NotAfter.Before(until) {
			until = c.NotAfter
		}
	}
	r.verified.Add(key, until, verifiedFor)
	return nil
}

func (m *MTLS) allows(c *x509.Certificate) bool {
	if len(m.allowed) == 0 {
		return true
	}
	return slices.ContainsFunc(m.allowed, func(s san) bool { return s.matches(c) })
}

// names lists a certificate's names, for the log.
func names(c *x509.Certificate) string {
	all := slices.Concat(c.DNSNames, c.EmailAddresses)
	for _, ip := range c.IPAddresses {
		all = append(all, ip.String())
	}
	for _, u := range c.URIs {
		all = append(all, u.String())
	}
	if len(all) == 0 {
		return "no names"
	}
	return fmt.Sprintf("%q", strings.Join(all, " "))
}

func (*MTLS) challenge() string { return "TLS-Client-Certificate " + realm }
