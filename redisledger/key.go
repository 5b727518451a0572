package redisledger

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	gateway "kubernaut.io/gateway"
)

// schema is the version of what keys hold. A release that changes it takes the
// next number, and leaves the keys of the one before to expire.
const schema = ":1:"

// keys names the keys of a ledger. Each has one hash tag, so that a cluster may
// put it anywhere.
type keys struct{ prefix string }

// shortFingerprint is half of a fingerprint: 128 bits of SHA-256 never meet by
// chance, and keys are most of what the ledger takes.
type shortFingerprint [16]byte

func shorten(f gateway.Fingerprint) shortFingerprint { return shortFingerprint(f[:]) }

// fingerprint is the hash of what is known of a fingerprint. The tag is the
// beginning of the fingerprint as people see it.
func (k keys) fingerprint(f shortFingerprint) string {
	b := make([]byte, 0, 64)
	b = append(b, k.prefix...)
	b = append(b, schema+"f:{"...)
	b = hex.AppendEncode(b, f[:])
	return string(append(b, '}'))
}

// window is the sorted set of a group's entries. Senders choose the names of
// groups, so that the key holds a hash of them.
func (k keys) window(g gateway.Group) string {
	id := shorten(g.Fingerprint(""))
	return k.prefix + schema + "w:{" + hex.EncodeToString(id[:]) + "}"
}

func (k keys) probe(tag int) string { return k.prefix + schema + "probe:{" + strconv.Itoa(tag) + "}" }

// requestKey is a request of a fingerprint.
type requestKey struct {
	fingerprint gateway.Fingerprint
	sequence    int64
	created     int64 // in seconds since 1970
}

func keyOf(k gateway.Key) requestKey {
	return requestKey{k.Fingerprint, k.Sequence, k.Created.Unix()}
}

// seenField is when a fingerprint was last seen.
const seenField = "s"

// field is that of the request's count.
func (k requestKey) field() string {
	b := make([]byte, 0, 32)
	b = append(b, 'c')
	b = strconv.AppendInt(b, k.sequence, 10)
	b = append(b, '.')
	return string(strconv.AppendInt(b, k.created, 10))
}

// endField is that of an alert's end.
func endField(a gateway.AlertHash) string { return "e" + base64.RawURLEncoding.EncodeToString(a[:]) }

// micros returns t as scripts take it, empty for no time.
func micros(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return strconv.FormatInt(t.UnixMicro(), 10)
}

// positive returns t as a score: a number that a double holds and that is more
// than 0, which stands for no time at all.
func positive(t time.Time) string {
	const largest = 1 << 53
	if t.IsZero() {
		return "0"
	}
	return strconv.FormatInt(min(max(t.UnixMicro(), 1), largest), 10)
}

func parseMicros(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("%w: a time of %q", errBadAnswer, s)
	}
	return time.UnixMicro(n).UTC(), nil
}

// parseEnd reads the value of an end: when it began and when its end was
// received.
func parseEnd(s string) (startsAt, resolvedAt time.Time, err error) {
	from, to, ok := strings.Cut(s, " ")
	if !ok {
		return startsAt, resolvedAt, fmt.Errorf("%w: an end of %q", errBadAnswer, s)
	}
	if startsAt, err = parseMicros(from); err == nil {
		resolvedAt, err = parseMicros(to)
	}
	if err != nil {
		return time.Time{}, time.Time{}, err
	}
	return startsAt, resolvedAt, nil
}

// millis returns d in milliseconds, rounded up.
func millis(d time.Duration) string {
	return strconv.FormatInt(int64(math.Ceil(float64(d)/float64(time.Millisecond))), 10)
}
