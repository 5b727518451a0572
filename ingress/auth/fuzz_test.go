package auth

import (
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"
)

func FuzzTokens(f *testing.F) {
	for _, seed := range []string{"", "0123456789abcdef", "# a\n0123456789abcdef==\r\n\n", "a b", "0123456789abcdef\x00"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		all, err := parseTokens(data)
		if err != nil {
			return
		}
		if len(all) == 0 || len(all) > maxSecrets {
			t.Fatalf("%d tokens", len(all))
		}
		for line := range strings.Lines(string(data)) {
			line = strings.TrimSpace(line)
			if token := line != "" && line[0] != '#'; token && (!all.have(line) || len(line) < minSecretBytes) {
				t.Errorf("%q is not let in", line)
			}
		}
		if all.have("") {
			t.Error("an empty token is let in")
		}
	})
}

func FuzzUsers(f *testing.F) {
	const hash = "$2y$04$abcdefghijklmnopqrstuugIEnm3ZbWF6xb2GcoE3L1CoGJFMKtu."
	for _, seed := range []string{"", "ana:" + hash, "# a\nana:" + hash + "\nbob:" + hash + "\n", "ana:{SHA}x", "ana:$apr1$a$b", ":", "a:b:c"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		all, err := parseUsers(data)
		if err != nil {
			return
		}
		if len(all.hashes) == 0 || len(all.hashes) != len(all.byName) {
			t.Fatalf("%d users, %d hashes", len(all.byName), len(all.hashes))
		}
		for user, hash := range all.byName {
			cost, err := bcrypt.Cost([]byte(hash))
			if err != nil || cost > maxCost || user == "" || strings.Contains(user, ":") {
				t.Errorf("%q: cost %d (%v)", user, cost, err)
			}
		}
	})
}

func FuzzSignature(f *testing.F) {
	digits := strings.Repeat("0a", 32)
	for _, seed := range []string{"", digits, "sha256=" + digits, "SHA256=" + strings.ToUpper(digits), "sha1=" + digits[:40], "sha256=" + digits + " "} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		signature, ok := parseSignature([]string{value})
		digits := strings.ToLower(value)
		digits = strings.TrimPrefix(digits, "sha256=")
		_, err := hex.DecodeString(digits)
		if well := err == nil && len(digits) == 64; ok != well {
			t.Fatalf("%q is taken: %t", value, ok)
		}
		if ok && hex.EncodeToString(signature[:]) != digits {
			t.Errorf("%q is read as %x", value, signature)
		}
	})
}

func FuzzTimestamp(f *testing.F) {
	for _, seed := range []string{"", "0", "1700000000", "1700000000000", "-1", "+1", "1_0", " 1", "1e9"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		at, ok := parseTimestamp([]string{value})
		digits := value != "" && len(value) <= maxTimestampDigits && strings.Trim(value, "0123456789") == ""
		if ok != digits {
			t.Fatalf("%q is taken: %t", value, ok)
		}
		if ok && (at.Unix() < 0 || at.Year() > 40000) {
			t.Errorf("%q is read as %v", value, at)
		}
	})
}

func FuzzExpiry(f *testing.F) {
	for _, seed := range []string{"", "a.b.c", "eyJ9.eyJleHAiOjE3MDAwMDAwMDB9.x", "eyJ9.eyJleHAiOiIxIn0.x", "..."} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, token string) {
		at, ok := expiry(token)
		if ok && (at.Before(time.Unix(0, 0)) || at.Unix() > maxExpiry) {
			t.Errorf("%q expires at %v", token, at)
		}
	})
}

func FuzzSAN(f *testing.F) {
	for _, seed := range []string{"", "a.b", "*.a", "10.0.0.1", "::1", "a@b", "spiffe://a/b"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if s, err := parseSAN(text); err == nil && s.matches == nil {
			t.Errorf("%q matches nothing", text)
		}
	})
}
