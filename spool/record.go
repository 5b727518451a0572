package spool

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"time"
	"unicode/utf8"

	"kubernaut.io/gateway"
)

// schema is the version of the values. A gateway reads those of its own and of
// earlier versions.
const schema = 1

// maxPayload is how much of a payload is kept: what spec.originalPayload takes,
// 8 KiB, and one character more, so that it is still seen to have been cut.
const maxPayload = 8<<10 + utf8.UTFMax

// A value is a header and a record in JSON:
//
//	 0  schema, 1 byte
//	 1  CRC-32C of all that follows, big-endian like all numbers here
//	 5  sequence, which is the key as well
//	13  fingerprint
//	45  time of receipt, in microseconds of Unix time
//	53  record
const (
	offsetSum         = 1
	offsetSequence    = 5
	offsetFingerprint = 13
	offsetReceived    = 45
	headerSize        = 53
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// stamp is a time that can always be written: one beyond what RFC 3339 can say,
// which only a sender's own clock brings about, becomes the nearest it can.
type stamp struct{ time.Time }

// MarshalText returns the time in UTC.
func (t stamp) MarshalText() ([]byte, error) {
	utc := t.UTC()
	switch year := utc.Year(); {
	case year < 0:
		utc = time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC)
	case year > 9999:
		utc = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)
	}
	return utc.MarshalText()
}

// MarshalJSON is MarshalText in quotes. Without it that of time.Time would do.
func (t stamp) MarshalJSON() ([]byte, error) {
	text, err := t.MarshalText()
	return fmt.Appendf(nil, "%q", text), err
}

// resource is a gateway.Resource in JSON.
type resource struct {
	APIVersion string `json:"apiVersion,omitempty"`
	Kind       string `json:"kind,omitempty"`
	Namespace  string `json:"namespace,omitempty"`
	Name       string `json:"name,omitempty"`
}

// record is all of a signal that deciding it later takes, its identity as it
// was computed at receipt.
type record struct {
	Name         string             `json:"name"`
	Severity     string             `json:"severity,omitempty"`
	Type         gateway.SignalType `json:"type,omitempty"`
	Source       string             `json:"source,omitempty"`
	Cluster      string             `json:"cluster,omitempty"`
	Resource     resource           `json:"resource"`
	Owner        resource           `json:"owner"`
	Labels       map[string]string  `json:"labels,omitempty"`
	Annotations  map[string]string  `json:"annotations,omitempty"`
	Resolved     bool               `json:"resolved,omitempty"`
	StartsAt     stamp              `json:"startsAt"`
	EndsAt       stamp              `json:"endsAt"`
	ReceivedAt   stamp              `json:"receivedAt"`
	EventID      string             `json:"eventId,omitempty"`
	EventCount   int64              `json:"eventCount,omitempty"`
	Normal       bool               `json:"normal,omitempty"`
	Test         bool               `json:"test,omitempty"`
	Fingerprint  string             `json:"fingerprint"`
	Alert        string             `json:"alert"`
	Payload      string             `json:"payload,omitempty"`
	PayloadBytes []byte             `json:"payloadBytes,omitempty"` // instead, where it is no text
}

func newRecord(s *gateway.Signal) *record {
	r := &record{
		Name: s.Name, Severity: s.Severity, Type: s.Type, Source: s.Source, Cluster: s.Cluster,
		Resource: resource(s.Resource), Owner: resource(s.Owner), Labels: s.Labels, Annotations: s.Annotations,
		Resolved: s.Resolved, StartsAt: stamp{s.StartsAt}, EndsAt: stamp{s.EndsAt}, ReceivedAt: stamp{s.ReceivedAt},
		EventID: s.EventID, EventCount: s.EventCount, Normal: s.Normal, Test: s.Test,
		Fingerprint: s.Fingerprint.String(), Alert: s.Alert.String(),
	}
	if payload := clip(s.Payload); utf8.Valid(payload) {
		r.Payload = string(payload)
	} else {
		r.PayloadBytes = payload
	}
	return r
}

// clip returns as much of payload as is kept, without half a character at its
// end.
func clip(payload []byte) []byte {
	if len(payload) <= maxPayload {
		return payload
	}
	end := maxPayload
	for end > maxPayload-utf8.UTFMax+1 && !utf8.RuneStart(payload[end]) {
		end--
	}
	return payload[:end]
}

// signal is the inverse of newRecord.
func (r *record) signal() (*gateway.Signal, error) {
	f, err := gateway.ParseFingerprint(r.Fingerprint)
	if err != nil {
		return nil, err
	}
	alert, err := gateway.ParseAlertHash(r.Alert)
	if err != nil {
		return nil, err
	}
	s := &gateway.Signal{
		Name: r.Name, Severity: r.Severity, Type: r.Type, Source: r.Source, Cluster: r.Cluster,
		Resource: gateway.Resource(r.Resource), Owner: gateway.Resource(r.Owner), Labels: r.Labels, Annotations: r.Annotations,
		Resolved: r.Resolved, StartsAt: r.StartsAt.Time, EndsAt: r.EndsAt.Time, ReceivedAt: r.ReceivedAt.Time,
		EventID: r.EventID, EventCount: r.EventCount, Normal: r.Normal, Test: r.Test,
		Fingerprint: f, Alert: alert, Payload: r.PayloadBytes,
	}
	if r.Payload != "" {
		s.Payload = []byte(r.Payload)
	}
	return s, nil
}

// encode returns the value of s. It has to be sealed before it is kept.
func encode(s *gateway.Signal) ([]byte, error) {
	body, err := json.Marshal(newRecord(s))
	if err != nil {
		return nil, fmt.Errorf("encode signal %s: %w", s.Fingerprint, err)
	}
	value := make([]byte, headerSize, headerSize+len(body))
	value[0] = schema
	copy(value[offsetFingerprint:], s.Fingerprint[:])
	binary.BigEndian.PutUint64(value[offsetReceived:], uint64(s.ReceivedAt.UnixMicro()))
	return append(value, body...), nil
}

// seal gives a value its place in the order.
func seal(value []byte, sequence uint64) {
	binary.BigEndian.PutUint64(value[offsetSequence:], sequence)
	binary.BigEndian.PutUint32(value[offsetSum:], crc32.Checksum(value[offsetSequence:], castagnoli))
}

// header is what is known of a value without decoding its record.
type header struct {
	sequence    uint64
	fingerprint gateway.Fingerprint
	received    time.Time
}

var errDamaged = errors.New("the checksum does not match: it was damaged on disk")

// readHeader checks a value, and returns its header.
func readHeader(value []byte) (header, error) {
	switch {
	case len(value) < headerSize:
		return header{}, fmt.Errorf("%d bytes are too few: it was damaged on disk", len(value))
	case binary.BigEndian.Uint32(value[offsetSum:]) != crc32.Checksum(value[offsetSequence:], castagnoli):
		return header{}, errDamaged
	case value[0] != schema:
		return header{}, fmt.Errorf("schema %d is not known to this version of the gateway, which knows %d", value[0], schema)
	}
	return header{
		sequence:    binary.BigEndian.Uint64(value[offsetSequence:]),
		fingerprint: gateway.Fingerprint(value[offsetFingerprint:offsetReceived]),
		received:    time.UnixMicro(int64(binary.BigEndian.Uint64(value[offsetReceived:]))).UTC(),
	}, nil
}

// decode returns the signal of a sealed value.
func decode(value []byte) (*gateway.Signal, error) {
	h, err := readHeader(value)
	if err != nil {
		return nil, err
	}
	var r record
	if err := json.Unmarshal(value[headerSize:], &r); err != nil {
		return nil, fmt.Errorf("decode record: %w", err)
	}
	s, err := r.signal()
	if err != nil {
		return nil, err
	}
	if s.Fingerprint != h.fingerprint {
		return nil, errors.New("the record is of another fingerprint than its header")
	}
	return s, nil
}
