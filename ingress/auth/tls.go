package auth

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// Certificate is a server's certificate and key, and the configurations of
// connections that are made with it. It is safe for concurrent use.
type Certificate struct {
	certFile, keyFile string
	// authority is whom clients are asked for a certificate of, nil where they
	// are not asked.
	authority *Authority

	current atomic.Pointer[pair]
	reading sync.Mutex
}

// pair is a certificate with its key. It is never changed.
type pair struct {
	certificate *tls.Certificate
	digest      [sha256.Size]byte
	// expires is when the first of the certificates that are shown expires.
	expires time.Time
}

// NewCertificate reads a certificate and its key, in PEM. With an authority
// clients are asked for a certificate, and may have none: an MTLS looks at it.
func NewCertificate(certFile, keyFile string, authority *Authority) (*Certificate, error) {
	c := &Certificate{certFile: certFile, keyFile: keyFile, authority: authority}
	_, err := c.Reload()
	return c, err
}

// Files implements Reloader.
func (c *Certificate) Files() []string { return []string{c.certFile, c.keyFile} }

// Reload implements Reloader. A pair that does not belong together, as between
// the writing of the two files, is refused like a broken one; so is one that has
// expired, unless the one in force has too.
func (c *Certificate) Reload() (bool, error) {
	c.reading.Lock()
	defer c.reading.Unlock()
	before := c.current.Load()
	next, err := readPair(c.certFile, c.keyFile, before)
	if err != nil || next == before {
		return false, err
	}
	if now := time.Now(); before != nil && now.After(next.expires) && now.Before(before.expires) {
		return false, fmt.Errorf("%s: it expired at %v, and the one in force has not", c.certFile, next.expires.Format(time.RFC3339))
	}
	c.current.Store(next)
	return true, nil
}

// Expires returns when the certificate in force does.
func (c *Certificate) Expires() time.Time { return c.current.Load().expires }

func readPair(certFile, keyFile string, before *pair) (*pair, error) {
	certPEM, err := read(certFile)
	if err != nil {
		return nil, err
	}
	keyPEM, err := read(keyFile)
	if err != nil {
		return nil, err
	}
	digest := sha256.Sum256(bytes.Join([][]byte{certPEM, keyPEM}, []byte{0}))
	if before != nil && before.digest == digest {
		return before, nil
	}
	shown, err := parseCertificates(certPEM)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", certFile, err)
	}
	certificate, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return nil, fmt.Errorf("%s with %s: %w", certFile, keyFile, err)
	}
	p := &pair{certificate: &certificate, digest: digest, expires: shown[0].NotAfter}
	for _, c := range shown[1:] {
		if c.NotAfter.Before(p.expires) {
			p.expires = c.NotAfter
		}
	}
	return p, nil
}

// parseCertificates reads certificates in PEM; each that is there has to be one.
func parseCertificates(data []byte) ([]*x509.Certificate, error) {
	var all []*x509.Certificate
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d: %w", len(all)+1, err)
		}
		all = append(all, c)
	}
	if len(all) == 0 {
		return nil, errors.New("there is no certificate in it, in PEM")
	}
	return all, nil
}

// cipherSuites are those of TLS 1.2 that keep what was said secret even from who
// has the key later, and that are authenticated as a whole. Those of TLS 1.3 all
// are, and are not for choosing.
var cipherSuites = []uint16{
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
}

// Config returns how connections are to be made: each new one with what is in
// force then, while those that are open stay.
func (c *Certificate) Config() *tls.Config {
	base := &tls.Config{
		MinVersion: tls.VersionTLS12, CipherSuites: cipherSuites, NextProtos: []string{"h2", "http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.current.Load().certificate, nil },
	}
	if c.authority == nil {
		return base
	}
	config := base.Clone()
	config.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		asking := base.Clone()
		// Who has certificates of several authorities is told which ones count.
		// That what it shows is good is for MTLS to tell: a sender that has other
		// credentials may show any, and a 401 says more than a broken handshake.
		asking.ClientAuth, asking.ClientCAs = tls.RequestClientCert, c.authority.get().pool
		return asking, nil
	}
	return config
}
