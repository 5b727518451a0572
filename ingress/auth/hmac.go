package auth

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"kubernaut.io/gateway/ingress"
)

// HMACOptions says how bodies are signed. SecretFile, Header and Tolerance are
// required.
type HMACOptions struct {
	// SecretFile holds the secrets, one a line.
	SecretFile string
	// Header holds the HMAC-SHA256 in hex, with or without "sha256=" before it.
	Header string
	// TimestampHeader holds when it was signed, in Unix seconds, where that is
	// signed too: then the text is the timestamp, a colon, and the body. Empty
	// where the body alone is signed.
	TimestampHeader string
	// Tolerance is how far that time may be from ours, before or after it.
	Tolerance time.Duration
}

// HMAC lets in whose body is signed with one of the secrets in a file. The
// sender chooses neither the algorithm nor what is signed.
type HMAC struct {
	options HMACOptions
	*file[secrets]
}

type secrets [][]byte

// NewHMAC reads the secrets.
func NewHMAC(o HMACOptions) (*HMAC, error) {
	if o.Header == "" || o.Tolerance <= 0 {
		return nil, errors.New("auth: hmac: no header or tolerance")
	}
	o.Header, o.TimestampHeader = http.CanonicalHeaderKey(o.Header), http.CanonicalHeaderKey(o.TimestampHeader)
	f, err := open(o.SecretFile, parseSecrets)
	return &HMAC{options: o, file: f}, err
}

func parseSecrets(data []byte) (secrets, error) {
	var all secrets
	found, err := lines(data, func(_ int, line string) error {
		switch {
		case len(line) < minSecretBytes:
			return fmt.Errorf("this secret is shorter than %d bytes; make one with: openssl rand -hex 32", minSecretBytes)
		case len(all) == maxSecrets:
			return fmt.Errorf("there are more than %d secrets; leave out those that nobody signs with", maxSecrets)
		}
		all = append(all, []byte(line))
		return nil
	})
	if err == nil && found == 0 {
		err = errEmpty
	}
	return all, err
}

// Kind implements Method.
func (*HMAC) Kind() Kind { return KindHMAC }

// expect looks at the signature's form and time, so that nobody has a body
// read who has not signed it.
func (h *HMAC) expect(r *http.Request) (ingress.BodyCheck, error) {
	sent := r.Header[h.options.Header]
	if len(sent) == 0 {
		return nil, &failure{kind: KindHMAC, reason: Missing}
	}
	signature, ok := parseSignature(sent)
	if !ok {
		return nil, &failure{kind: KindHMAC, reason: Malformed}
	}
	prefix := ""
	if h.options.TimestampHeader != "" {
		at, ok := parseTimestamp(r.Header[h.options.TimestampHeader])
		if !ok {
			return nil, &failure{kind: KindHMAC, reason: Malformed, cause: errors.New("its timestamp is missing or none")}
		}
		if age := time.Since(at); age.Abs() > h.options.Tolerance {
			return nil, &failure{kind: KindHMAC, reason: Stale, cause: fmt.Errorf("its time is %v from ours, more than %v", age.Abs().Round(time.Second), h.options.Tolerance)}
		}
		prefix = r.Header[h.options.TimestampHeader][0] + ":"
	}
	return func(body []byte) error {
		if !h.get().signed(signature, prefix, body) {
			return &failure{kind: KindHMAC, reason: Wrong}
		}
		ingress.Identify(r, string(KindHMAC))
		return nil
	}, nil
}

// signed reports whether one of the secrets made the signature of prefix and
// body.
func (s secrets) signed(signature [sha256.Size]byte, prefix string, body []byte) bool {
	found := false
	for _, secret := range s {
		mac := hmac.New(sha256.New, secret)
		mac.Write([]byte(prefix))
		mac.Write(body)
		found = hmac.Equal(mac.Sum(nil), signature[:]) || found
	}
	return found
}

// parseSignature reads the values of a signature's header, of which there has to
// be one.
func parseSignature(values []string) (signature [sha256.Size]byte, ok bool) {
	const prefix = "sha256="
	if len(values) != 1 {
		return signature, false
	}
	digits := values[0]
	if len(digits) > len(prefix) && strings.EqualFold(digits[:len(prefix)], prefix) {
		digits = digits[len(prefix):]
	}
	if len(digits) != hex.EncodedLen(sha256.Size) {
		return signature, false
	}
	_, err := hex.Decode(signature[:], []byte(digits))
	return signature, err == nil
}

// maxTimestampDigits are those of the year 33658, in seconds. A timestamp in
// milliseconds has more.
const maxTimestampDigits = 12

// parseTimestamp reads the values of a timestamp's header, of which there has to
// be one.
func parseTimestamp(values []string) (time.Time, bool) {
	if len(values) != 1 || len(values[0]) > maxTimestampDigits {
		return time.Time{}, false
	}
	seconds, err := strconv.ParseUint(values[0], 10, 63)
	return time.Unix(int64(seconds), 0), err == nil
}

func (h *HMAC) challenge() string {
	return "HMAC-SHA256 " + realm + ", header=" + strconv.Quote(h.options.Header)
}
