package audit

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
)

const (
	sumMember = `,"sum":"`
	macMember = `","mac":"`
)

// line is one that was read.
type line struct {
	Seq  uint64    `json:"seq"`
	Prev string    `json:"prev"`
	At   time.Time `json:"at"`
	Kind string    `json:"kind"`

	Instance string `json:"instance"`
	Oldest   uint64 `json:"oldest"`
	Signed   bool   `json:"signed"`
	Stream   bool   `json:"stream"`
	Torn     *torn  `json:"torn"`
	Lines    int64  `json:"lines"`
	Why      string `json:"why"`

	prev, sum sum
	mac       []byte // nil for none
	content   []byte // what the sum is of
}

// parse reads a line, without its line end. It does not look whether the sum is
// right. What it returns aliases text.
func parse(text []byte) (*line, error) {
	l := &line{}
	rest, ok := bytes.CutSuffix(text, []byte(`"}`))
	if !ok {
		return nil, errors.New(`it does not end with "}`)
	}
	if l.mac, rest, ok = cutHex(rest, macMember); !ok {
		l.mac = nil
	}
	given, rest, ok := cutHex(rest, sumMember)
	if !ok {
		return nil, errors.New("it has no sum at its end")
	}
	l.sum, l.content = sum(given), rest
	if err := json.Unmarshal(text, l); err != nil {
		return nil, fmt.Errorf("it is no JSON object of an audit log: %w", err)
	}
	prev, ok := digest([]byte(l.Prev))
	if !ok {
		return nil, errors.New("prev is not 64 hexadecimal digits")
	}
	l.prev = sum(prev)
	if l.Seq == 0 || l.Kind == "" || l.At.IsZero() {
		return nil, errors.New("it lacks one of seq, at and kind")
	}
	return l, nil
}

// cutHex cuts a member with 64 hexadecimal digits off the end of text.
func cutHex(text []byte, member string) (value, before []byte, ok bool) {
	at := len(text) - 2*sha256.Size - len(member)
	if at < 0 || string(text[at:at+len(member)]) != member {
		return nil, text, false
	}
	if value, ok = digest(text[at+len(member):]); !ok {
		return nil, text, false
	}
	return value, text[:at], true
}

// digest returns what 64 hexadecimal digits say, in lower case, as they are
// written.
func digest(digits []byte) ([]byte, bool) {
	value := make([]byte, sha256.Size)
	if len(digits) != hex.EncodedLen(len(value)) || bytes.ContainsAny(digits, "ABCDEF") {
		return nil, false
	}
	_, err := hex.Decode(value, digits)
	return value, err == nil
}

// sound reports whether the line's sum is that of its content.
func (l *line) sound() bool { return sha256.Sum256(l.content) == l.sum }

// signedBy reports whether the line's mac is of one of the keys.
func (l *line) signedBy(keys [][]byte) bool {
	for _, key := range keys {
		mac := hmac.New(sha256.New, key)
		mac.Write(l.sum[:])
		if hmac.Equal(mac.Sum(nil), l.mac) {
			return true
		}
	}
	return false
}
