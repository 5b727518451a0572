package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"k8s.io/client-go/util/keyutil"
)

// credentials are made at the first start and kept, so that a kubeconfig and the
// tokens of service accounts outlive a restart.
type credentials struct {
	dir string
	// token makes its bearer a member of system:masters.
	token string

	tokenFile             string
	serviceAccountKeyFile string
	// The API server makes these two, under names that it fixes.
	certificateFile    string
	certificateKeyFile string
}

// loadCredentials reads dir and makes what is missing in it. A serving
// certificate that is not good for ip, or not for much longer, is removed: the
// API server then makes another.
func loadCredentials(dir string, ip net.IP) (credentials, error) {
	c := credentials{
		dir:                   dir,
		tokenFile:             filepath.Join(dir, "tokens.csv"),
		serviceAccountKeyFile: filepath.Join(dir, "service-account.key"),
		certificateFile:       filepath.Join(dir, "apiserver.crt"),
		certificateKeyFile:    filepath.Join(dir, "apiserver.key"),
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return c, fmt.Errorf("make credentials directory: %w", err)
	}
	var err error
	if c.token, err = loadToken(c.tokenFile); err != nil {
		return c, fmt.Errorf("administrator's token: %w", err)
	}
	if err = ensureKey(c.serviceAccountKeyFile); err != nil {
		return c, fmt.Errorf("service account key: %w", err)
	}
	if err = dropStaleCertificate(c.certificateFile, c.certificateKeyFile, ip); err != nil {
		return c, fmt.Errorf("serving certificate: %w", err)
	}
	return c, nil
}

// loadToken returns the token of a static token file (token,user,uid,groups).
func loadToken(path string) (string, error) {
	raw, err := os.ReadFile(path)
	if err == nil {
		token, _, found := strings.Cut(string(raw), ",")
		if !found || token == "" {
			return "", fmt.Errorf("no token in %s; remove the file to have another made", path)
		}
		return token, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	token := rand.Text()
	return token, writeFile(path, fmt.Appendf(nil, "%s,admin,admin,system:masters\n", token))
}

func ensureKey(path string) error {
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	raw, err := keyutil.MarshalPrivateKeyToPEM(key)
	if err != nil {
		return err
	}
	return writeFile(path, raw)
}

func dropStaleCertificate(certFile, keyFile string, ip net.IP) error {
	raw, err := os.ReadFile(certFile)
	if err == nil && goodFor(raw, ip) {
		return nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	// One without the other is an error to the API server.
	for _, path := range []string{certFile, keyFile} {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// goodFor reports whether a certificate in PEM serves on ip for a while yet. The
// API server makes it good for a year.
func goodFor(raw []byte, ip net.IP) bool {
	const margin = 30 * 24 * time.Hour

	block, _ := pem.Decode(raw)
	if block == nil {
		return false
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	return err == nil && cert.VerifyHostname(ip.String()) == nil && time.Until(cert.NotAfter) > margin
}

// writeFile replaces path in one step, readable by its owner alone: a reader or
// a crash never sees half of it.
func writeFile(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(data)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
