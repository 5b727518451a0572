// Package recording keeps what comes into a gateway and what was decided about
// it, in files that are read again to decide it anew.
//
// A folder holds files named
//
//	<instance>-<UTC time as 20060102T150405.000000000>.jsonl.zst
//
// which are JSON lines, an [Entry] each, compressed as one zstd frame that is
// flushed at least every second. The first line of each is a [Start], so that
// it can be read alone. Secrets are taken out before anything is written, as
// package redact does.
package recording

import (
	"encoding/json"
	"errors"
	"time"

	"kubernaut.io/gateway"
)

// Entry is one line of a recording. Exactly one of the fields after Instance is
// set.
type Entry struct {
	// At is when it was decided; of a Dropped when the first of them was.
	At time.Time `json:"at"`
	// Instance is the name of the gateway's process.
	Instance string `json:"instance"`

	Start    *Start    `json:"start,omitempty"`
	Request  *Request  `json:"request,omitempty"`
	Drained  *Kept     `json:"drained,omitempty"`
	Reviewed *Kept     `json:"reviewed,omitempty"`
	Observed *Observed `json:"observed,omitempty"`
	Dropped  *Dropped  `json:"dropped,omitempty"`
}

// Start is what the entries after it were decided by. It is a file's first line,
// and comes again when the rules have changed.
type Start struct {
	// Version is the gateway's.
	Version string `json:"version"`
	// Config is the effective configuration. It is kept as it is, nothing is
	// taken out of it.
	Config json.RawMessage `json:"config,omitempty"`
	// Policy is the policy's files, by name.
	Policy map[string]string `json:"policy,omitempty"`
	// Spool says that there is a spool.
	Spool bool `json:"spool,omitempty"`
}

// Request is a sender's request and what was decided about its signals.
type Request struct {
	ID string `json:"id"`
	// Source is the name of the configured source.
	Source string `json:"source"`
	// Status is the HTTP status of the answer.
	Status int `json:"status"`
	// Redacted says that secrets were taken out of Body.
	Redacted bool `json:"redacted,omitempty"`
	// Rules is the revision of the rules that it was decided by.
	Rules string `json:"rules,omitempty"`
	// Decisions are in the order of the body's signals. Of their steps' Of and
	// Answer, json.RawMessage is read.
	Decisions []gateway.Decision `json:"decisions,omitempty"`
	// Body is what was sent, but for secrets and line breaks.
	Body json.RawMessage `json:"body,omitempty"`
}

// Kept is a signal that the gateway had kept, in its spool or parked, and what
// was decided about it in the end.
type Kept struct {
	Signal Signal `json:"signal"`
	// Redacted says that secrets were taken out of Signal.
	Redacted bool `json:"redacted,omitempty"`
	// Rules is the revision of the rules that it was decided by.
	Rules    string           `json:"rules,omitempty"`
	Decision gateway.Decision `json:"decision"`
}

// Observed is what others have done with a request: a controller with its phase,
// or people who deleted it.
type Observed struct {
	// Request is what it is now, but for its episode and storm.
	Request gateway.Request `json:"request"`
	Gone    bool            `json:"gone,omitempty"`
}

// Dropped is a gap: what could not be noted since the entry before. What was on
// its way when a disk failed is counted in it, even where it can be read.
type Dropped struct {
	Entries int64 `json:"entries"`
	// Bytes is about what they took in memory.
	Bytes int64 `json:"bytes"`
	// Why is one of Whys.
	Why string `json:"why"`
}

// Why entries are dropped.
const (
	// WhyQueue means that there came more than is written in the share of time
	// that recording may take.
	WhyQueue = "queue"
	// WhyDisk means that the disk was full, or could not be written.
	WhyDisk = "disk"
	// WhyEncoding means that an entry has no line of its own: a time in it is
	// beyond the year 9999, or it would be longer than MaxLineBytes.
	WhyEncoding = "encoding"
)

// Whys lists why entries are dropped.
var Whys = [...]string{WhyQueue, WhyDisk, WhyEncoding}

// MaxLineBytes is the longest line that is written and read: eight times what a
// body may have by default.
const MaxLineBytes = 64 << 20

// Errors of what is read.
var (
	// ErrFormat means that a file is no recording, but may be something else.
	ErrFormat = errors.New("not a recording")
	// ErrDamaged means that a file can't be read any further. One that was cut
	// off by a crash ends like this.
	ErrDamaged = errors.New("the recording is damaged or cut off")
)

// check reports what is wrong with an entry that was read.
func (e *Entry) check() error {
	kinds := 0
	for _, set := range [...]bool{e.Start != nil, e.Request != nil, e.Drained != nil, e.Reviewed != nil, e.Observed != nil, e.Dropped != nil} {
		if set {
			kinds++
		}
	}
	switch {
	case e.At.IsZero():
		return errors.New(`it has no time "at"`)
	case kinds != 1:
		return errors.New("it has not one of start, request, drained, reviewed, observed and dropped")
	default:
		return nil
	}
}
