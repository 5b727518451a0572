// Package pki makes authorities and certificates for tests.
package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/url"
	"os"
	"testing"
	"time"
)

// Authority signs certificates.
type Authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	// PEM is its own certificate.
	PEM []byte
}

// Names are those of a certificate.
type Names struct {
	DNS, Emails, URIs []string
	IPs               []string
	// NotAfter is when it expires; tomorrow where it is zero.
	NotAfter time.Time
	// Server makes it one of a server, and of no client.
	Server bool
}

// Pair is a certificate with its key, in PEM.
type Pair struct{ Cert, Key []byte }

// MustAuthority returns an authority that vouches for itself, or for which
// another does.
func MustAuthority(tb testing.TB, name string, by *Authority) *Authority {
	tb.Helper()
	key := mustKey(tb)
	template := &x509.Certificate{
		SerialNumber: mustSerial(tb), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-24 * time.Hour),
		NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	a := &Authority{key: key}
	if by == nil {
		by = &Authority{certificate: template, key: key}
	}
	a.certificate, a.PEM = mustSign(tb, template, &key.PublicKey, by)
	return a
}

// MustIssue returns a new certificate.
func (a *Authority) MustIssue(tb testing.TB, n Names) Pair {
	tb.Helper()
	key := mustKey(tb)
	if n.NotAfter.IsZero() {
		n.NotAfter = time.Now().Add(24 * time.Hour)
	}
	template := &x509.Certificate{
		SerialNumber: mustSerial(tb), Subject: pkix.Name{CommonName: "test"}, NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: n.NotAfter,
		DNSNames: n.DNS, EmailAddresses: n.Emails, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	if n.Server {
		template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	}
	for _, text := range n.IPs {
		template.IPAddresses = append(template.IPAddresses, net.ParseIP(text))
	}
	for _, text := range n.URIs {
		u, err := url.Parse(text)
		if err != nil {
			tb.Fatal(err)
		}
		template.URIs = append(template.URIs, u)
	}
	_, cert := mustSign(tb, template, &key.PublicKey, a)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		tb.Fatal(err)
	}
	return Pair{Cert: cert, Key: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})}
}

// Pool returns the authority as one that is trusted.
func (a *Authority) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.certificate)
	return pool
}

// MustTLS returns the pair as connections take it.
func (p Pair) MustTLS(tb testing.TB) tls.Certificate {
	tb.Helper()
	pair, err := tls.X509KeyPair(p.Cert, p.Key)
	if err != nil {
		tb.Fatal(err)
	}
	return pair
}

// MustWrite writes the pair to two files.
func (p Pair) MustWrite(tb testing.TB, certFile, keyFile string) {
	tb.Helper()
	for path, text := range map[string][]byte{certFile: p.Cert, keyFile: p.Key} {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			tb.Fatal(err)
		}
	}
}

func mustKey(tb testing.TB) *ecdsa.PrivateKey {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	return key
}

func mustSerial(tb testing.TB) *big.Int {
	tb.Helper()
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		tb.Fatal(err)
	}
	return serial
}

func mustSign(tb testing.TB, template *x509.Certificate, key *ecdsa.PublicKey, by *Authority) (*x509.Certificate, []byte) {
	tb.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, by.certificate, key, by.key)
	if err != nil {
		tb.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		tb.Fatal(err)
	}
	return c, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}
