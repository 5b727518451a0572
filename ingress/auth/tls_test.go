package auth_test

import (
	"path/filepath"
	"testing"
	"time"

	"kubernaut.io/gateway/ingress/auth"
	"kubernaut.io/gateway/test/pki"
)

func TestCertificatesAreReadAgain(t *testing.T) {
	ca := pki.MustAuthority(t, "ca", nil)
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	issue := func(lasts time.Duration) pki.Pair {
		return ca.MustIssue(t, pki.Names{Server: true, NotAfter: time.Now().Add(lasts)})
	}
	first := issue(time.Hour)
	first.MustWrite(t, cert, key)
	c, err := auth.NewCertificate(cert, key, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		what             string
		pair             pki.Pair
		news, wrong      bool
		expiresInMinutes float64
	}{
		{"the same", first, false, false, 60},
		{"the next", issue(2 * time.Hour), true, false, 120},
		{"a certificate whose key comes later", pki.Pair{Cert: issue(time.Hour).Cert, Key: first.Key}, false, true, 120},
		{"nothing", pki.Pair{}, false, true, 120},
		{"no certificate", pki.Pair{Cert: []byte("-----BEGIN"), Key: first.Key}, false, true, 120},
		{"one that has expired", issue(-time.Minute), false, true, 120},
		{"one that lasts less long", issue(time.Hour), true, false, 60},
	} {
		step.pair.MustWrite(t, cert, key)
		news, err := c.Reload()
		if news != step.news || (err != nil) != step.wrong {
			t.Errorf("%s: news %t, error %v", step.what, news, err)
		}
		if left := time.Until(c.Expires()).Minutes(); left < step.expiresInMinutes-1 || left > step.expiresInMinutes {
			t.Errorf("%s: expires in %v minutes", step.what, left)
		}
	}
	// What is shown expires with the first of it.
	between := pki.MustAuthority(t, "between", ca)
	leaf := between.MustIssue(t, pki.Names{Server: true, NotAfter: time.Now().Add(72 * time.Hour)})
	leaf.Cert = append(leaf.Cert, between.PEM...)
	leaf.MustWrite(t, cert, key)
	if _, err := c.Reload(); err != nil || time.Until(c.Expires()) > 25*time.Hour {
		t.Errorf("a chain expires at %v (%v)", c.Expires(), err)
	}
}
