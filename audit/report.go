package audit

import (
	"fmt"
	"strconv"
	"strings"
)

// Head is a line that a log has to have: its sequence number, and its sum where
// that is known.
type Head struct {
	Seq uint64
	// Sum is 64 hexadecimal digits, or empty.
	Sum string
}

// ParseHead reads SEQ or SEQ:SUM, as "audit head" in a gateway's log says it.
func ParseHead(text string) (Head, error) {
	number, digits, has := strings.Cut(text, ":")
	seq, err := strconv.ParseUint(number, 10, 64)
	if err != nil || seq == 0 {
		return Head{}, fmt.Errorf("%q is no SEQ or SEQ:SUM, such as 1234:9f86d0…; SEQ is a number from 1 on", text)
	}
	if _, ok := digest([]byte(digits)); has && !ok {
		return Head{}, fmt.Errorf("%q is no SEQ:SUM; SUM is 64 digits of 0-9 and a-f", text)
	}
	return Head{seq, digits}, nil
}

// Kinds of findings: what was done to a log, as far as that can be told.
const (
	// Missing lines were removed.
	Missing = "missing"
	// Changed is a line that is not as it was written.
	Changed = "changed"
	// Reordered is a line that stands elsewhere than it was written.
	Reordered = "reordered"
	// Inserted is a line that is there more than once, or was never written.
	Inserted = "inserted"
	// Unsigned is a line without a valid signature.
	Unsigned = "unsigned"
	// Damaged is what was found behind the last whole line at a start, and was
	// more than a crash leaves.
	Damaged = "damaged"
)

// Finding is something that is wrong with a log.
type Finding struct {
	Kind string `json:"kind"`
	File string `json:"file"`
	// Line is where in the file, from 1 on.
	Line int `json:"line"`
	// Seq is the sequence number that it is about, 0 where that can't be told.
	Seq  uint64 `json:"seq,omitempty"`
	Text string `json:"text"`
}

// Note is something that a reader should know and that is no tampering by
// itself.
type Note struct {
	File string `json:"file,omitempty"`
	Line int    `json:"line,omitempty"`
	Text string `json:"text"`
}

// Log is what verifying has shown of one log.
type Log struct {
	Log   string   `json:"log"`
	Files []string `json:"files"`
	Lines int      `json:"lines"`
	// First and Last are sequence numbers, and Head is the last line as --expect-head
	// takes it.
	First uint64 `json:"first"`
	Last  uint64 `json:"last"`
	Head  string `json:"head,omitempty"`
	// Closed says that the last line is a stop.
	Closed bool `json:"closed"`
	// Signed is how many lines have a signature, and Checked says that they were
	// looked at.
	Signed  int  `json:"signed"`
	Checked bool `json:"signaturesChecked"`
	// Dropped is how many lines the log itself says were never written.
	Dropped int64 `json:"dropped"`

	Findings []Finding `json:"findings"`
	// More is how many findings there are besides.
	More  int    `json:"moreFindings,omitempty"`
	Notes []Note `json:"notes"`
}

// Report is what verifying has shown.
type Report struct {
	OK   bool  `json:"ok"`
	Logs []Log `json:"logs"`
}
