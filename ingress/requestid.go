package ingress

import (
	"crypto/rand"
	"net/http"
)

// maxRequestIDLength is enough for whatever tracing systems send.
const maxRequestIDLength = 128

// requestID returns the sender's own request id where it is fit for headers,
// logs and answers, else a new one.
func requestID(header http.Header) string {
	if id := header.Get("X-Request-Id"); sane(id) {
		return id
	}
	return rand.Text()
}

// sane reports whether id is 1 to 128 of [A-Za-z0-9._-].
func sane(id string) bool {
	if id == "" || len(id) > maxRequestIDLength {
		return false
	}
	for i := range len(id) {
		switch c := id[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case c == '.', c == '_', c == '-':
		default:
			return false
		}
	}
	return true
}
