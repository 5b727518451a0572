package gateway

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
)

// Fingerprint identifies one fault of one resource: SHA-256 over the
// length-prefixed cluster, fault name and resource. It is the same for every
// label order, message, time and replica.
type Fingerprint [sha256.Size]byte

// String returns the 64 lower-case hex digits of f.
func (f Fingerprint) String() string { return hex.EncodeToString(f[:]) }

// IsZero reports whether f was never computed.
func (f Fingerprint) IsZero() bool { return f == Fingerprint{} }

// MarshalText implements encoding.TextMarshaler: it is String.
func (f Fingerprint) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler: it is ParseFingerprint.
func (f *Fingerprint) UnmarshalText(text []byte) (err error) {
	*f, err = ParseFingerprint(string(text))
	return err
}

// ParseFingerprint is the inverse of Fingerprint.String.
func ParseFingerprint(s string) (Fingerprint, error) {
	var f Fingerprint
	if len(s) != hex.EncodedLen(len(f)) {
		return f, fmt.Errorf("fingerprint %q: want %d hex digits", s, hex.EncodedLen(len(f)))
	}
	if _, err := hex.Decode(f[:], []byte(s)); err != nil {
		return Fingerprint{}, fmt.Errorf("fingerprint %q: %w", s, err)
	}
	return f, nil
}

// AlertHash identifies one series of a source: 128 bits of SHA-256 over the
// source's name and the full label set, or over an Event's identity. It only
// has to be unique within one fingerprint.
type AlertHash [16]byte

// String returns the 32 lower-case hex digits of h.
func (h AlertHash) String() string { return hex.EncodeToString(h[:]) }

// MarshalText implements encoding.TextMarshaler: it is String.
func (h AlertHash) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler: it is ParseAlertHash.
func (h *AlertHash) UnmarshalText(text []byte) (err error) {
	*h, err = ParseAlertHash(string(text))
	return err
}

// ParseAlertHash is the inverse of AlertHash.String.
func ParseAlertHash(s string) (AlertHash, error) {
	var h AlertHash
	if len(s) != hex.EncodedLen(len(h)) {
		return h, fmt.Errorf("alert hash %q: want %d hex digits", s, hex.EncodedLen(len(h)))
	}
	if _, err := hex.Decode(h[:], []byte(s)); err != nil {
		return AlertHash{}, fmt.Errorf("alert hash %q: %w", s, err)
	}
	return h, nil
}

// requestNameDigits is how many hex digits of its hash a request's name has:
// 160 bits, so that two names never meet by chance.
const requestNameDigits = 40

// RequestName returns the name of the request with this number of this
// fingerprint. Nothing else enters it, so that every replica, at any time and
// after any loss, gives the same request the same name.
func RequestName(f Fingerprint, sequence int64) string {
	var id [sha256.Size + 8]byte
	copy(id[:], f[:])
	binary.BigEndian.PutUint64(id[sha256.Size:], uint64(sequence))
	sum := sha256.Sum256(id[:])
	// Each duplicate is answered with a name: built in place, it is one
	// allocation.
	name := [len("rr-") + requestNameDigits]byte{'r', 'r', '-'}
	hex.Encode(name[len("rr-"):], sum[:requestNameDigits/2])
	return string(name[:])
}

// Hash domains keep hashes of different things apart even where their parts
// are the same.
const (
	domainResource = "resource"
	domainLabels   = "labels"
	domainStorm    = "storm"
)

// severityLabel is left out of the identity of a signal about no object: the
// same trouble getting worse is the same trouble.
const severityLabel = "severity"

func fingerprint(s *Signal, id *Identity) Fingerprint {
	resource := s.Resource
	if id.ByOwner && !s.Owner.IsZero() {
		resource = s.Owner
	}
	var stack [512]byte
	b := appendPart(stack[:0], s.Cluster)
	b = appendPart(b, id.Fault(s.Name))
	if resource.IsZero() {
		b = appendPart(b, domainLabels)
		b = appendLabels(b, s.Labels, severityLabel)
		return sha256.Sum256(b)
	}
	b = appendPart(b, domainResource)
	b = appendPart(b, resource.Group())
	b = appendPart(b, resource.Kind)
	b = appendPart(b, resource.Namespace)
	b = appendPart(b, resource.Name)
	return sha256.Sum256(b)
}

func alertHash(s *Signal) AlertHash {
	var stack [1024]byte
	b := appendPart(stack[:0], s.Source)
	if s.EventID != "" {
		b = appendPart(b, s.EventID)
	} else {
		b = appendLabels(b, s.Labels, "")
	}
	sum := sha256.Sum256(b)
	return AlertHash(sum[:len(AlertHash{})])
}

// appendPart appends s behind its length, so that no two lists of parts give
// the same bytes.
func appendPart(b []byte, s string) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

func appendLabels(b []byte, labels map[string]string, without string) []byte {
	var stack [32]string
	names := stack[:0]
	for name := range labels {
		if name != without {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		b = appendPart(b, name)
		b = appendPart(b, labels[name])
	}
	return b
}
