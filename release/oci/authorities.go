package oci

import (
	"bytes"
	"encoding/pem"
	"sync"

	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// Authorities returns, as PEM, the certificates of the authorities that Mozilla
// trusts, less those that it trusts within limits which PEM can't express. They
// are those of a pinned module and not of the machine that builds.
var Authorities = sync.OnceValue(func() []byte {
	var all bytes.Buffer
	for root := range bundle.Roots() {
		if root.Constraint == nil {
			all.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}))
		}
	}
	return all.Bytes()
})
