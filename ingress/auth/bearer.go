package auth

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"kubernaut.io/gateway/ingress"
)

const (
	// maxSecrets is how many tokens or HMAC secrets a file may hold. All of them
	// are looked at for each request.
	maxSecrets = 16
	// minSecretBytes is the shortest token or HMAC secret that is taken: a
	// shorter one can be guessed.
	minSecretBytes = 16
)

// Bearer lets in who has one of the tokens in a file.
type Bearer struct {
	*file[tokens]
}

// tokens are the SHA-256 of each token.
type tokens [][sha256.Size]byte

// NewBearer reads a file of tokens, one a line. Lines that begin with # are
// comments.
func NewBearer(tokenFile string) (*Bearer, error) {
	f, err := open(tokenFile, parseTokens)
	return &Bearer{f}, err
}

func parseTokens(data []byte) (tokens, error) {
	var all tokens
	_, err := lines(data, func(_ int, line string) error {
		switch {
		case line[0] == '#':
			return nil
		case !isToken(line):
			return errors.New("this is not a token; write letters, digits and -._~+/ alone, = at its end, and one token on a line")
		case len(line) < minSecretBytes:
			return fmt.Errorf("this token is shorter than %d characters; make one with: openssl rand -hex 32", minSecretBytes)
		case len(all) == maxSecrets:
			return fmt.Errorf("there are more than %d tokens; give each source its own file", maxSecrets)
		}
		all = append(all, sha256.Sum256([]byte(line)))
		return nil
	})
	if err == nil && len(all) == 0 {
		err = errEmpty
	}
	return all, err
}

// isToken reports whether s is a b64token of RFC 6750.
func isToken(s string) bool {
	s = strings.TrimRight(s, "=")
	other := func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && !strings.ContainsRune("-._~+/", r)
	}
	return s != "" && !strings.ContainsFunc(s, other)
}

// have reports whether a token is one of t. How long it takes says nothing of
// which, or how much of it is right.
func (t tokens) have(token string) bool {
	digest := sha256.Sum256([]byte(token))
	found := 0
	for i := range t {
		found |= subtle.ConstantTimeCompare(t[i][:], digest[:])
	}
	return found == 1
}

// Kind implements Method.
func (*Bearer) Kind() Kind { return KindBearer }

func (b *Bearer) authenticate(r *http.Request) error {
	token, ok := authorization(r, "Bearer")
	switch {
	case !ok:
		return &failure{kind: KindBearer, reason: Missing}
	case !isToken(token):
		return &failure{kind: KindBearer, reason: Malformed}
	case !b.get().have(token):
		return &failure{kind: KindBearer, reason: Wrong}
	}
	ingress.Identify(r, string(KindBearer))
	return nil
}

func (*Bearer) challenge() string { return "Bearer " + realm }
