package audit

import (
	"bufio"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
)

// VerifyOptions say what is verified, and against what.
type VerifyOptions struct {
	// Paths are files, or folders of which all logs are taken.
	Paths []string
	// Keys are those that lines may be signed with; empty leaves that out.
	Keys [][]byte
	// Head is a line that has to be there; nil for none.
	Head *Head
}

// maxFindings is how many findings and notes of a log are told.
const maxFindings = 100

// Verify reads logs from their beginnings to their ends and reports whether they
// are as they were written. An error means that they could not be read.
func Verify(o VerifyOptions) (*Report, error) {
	logs, err := find(o.Paths)
	if err != nil {
		return nil, err
	}
	if o.Head != nil && len(logs) != 1 {
		return nil, fmt.Errorf("there are %d logs, and an expected head is of one; verify them one by one", len(logs))
	}
	report := &Report{OK: true}
	for _, l := range logs {
		v := newVerifier(&o, l)
		if err := v.run(); err != nil {
			return nil, err
		}
		report.OK = report.OK && len(v.log.Findings) == 0
		report.Logs = append(report.Logs, *v.log)
	}
	return report, nil
}

// verifier goes through one log.
type verifier struct {
	options *VerifyOptions
	source  logFiles
	log     *Log

	file string
	line int
	// head is the last line that was where it belongs, and before where that was;
	// begun says that there was one.
	head   head
	before place
	begun  bool
	last   *line
	// strange are lines that could not be read since head.
	strange []place
	// kept is the first line that the log says has to be there.
	kept uint64
	// missing are findings of lines that may turn up elsewhere.
	missing []hole
	// signed says that lines have to be, and stream that the log was written to
	// standard output, where each process begins anew.
	signed, stream bool
	headMet        bool
}

type place struct {
	file string
	line int
	why  string
}

// hole is a row of lines that are missing where they belong.
type hole struct {
	from, to uint64
	at       place
}

func newVerifier(o *VerifyOptions, source logFiles) *verifier {
	return &verifier{options: o, source: source, log: &Log{
		Log: source.name, Files: source.files, Checked: len(o.Keys) > 0, Findings: []Finding{}, Notes: []Note{},
	}}
}

func (v *verifier) run() error {
	for _, file := range v.source.files {
		if err := v.read(file); err != nil {
			return err
		}
	}
	v.end()
	return nil
}

// read goes through one file.
func (v *verifier) read(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	v.file, v.line = file, 0
	in := bufio.NewReaderSize(f, MaxLineBytes)
	for {
		text, err := in.ReadSlice('\n')
		switch {
		case errors.Is(err, io.EOF):
			v.cutOff(len(text))
			return nil
		case errors.Is(err, bufio.ErrBufferFull):
			if err := skip(in); err != nil {
				return fmt.Errorf("%s: %w", file, err)
			}
			v.line++
			v.unreadable(fmt.Errorf("it is longer than %d bytes", MaxLineBytes))
			continue
		case err != nil:
			return fmt.Errorf("%s: %w", file, err)
		}
		v.line++
		l, err := parse(text[:len(text)-1])
		if err != nil {
			v.unreadable(err)
			continue
		}
		v.one(l)
	}
}

// skip reads up to the end of a line, or of the file.
func skip(in *bufio.Reader) error {
	for {
		_, err := in.ReadSlice('\n')
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF):
			return nil
		default:
			return err
		}
	}
}

// cutOff notes a line without an end, which only the last file may have.
func (v *verifier) cutOff(bytes int) {
	if bytes == 0 {
		return
	}
	v.line++
	if v.file == v.source.files[len(v.source.files)-1] {
		v.note(v.here(), "the last line is cut off (%d bytes): the gateway was killed or is writing just now, or somebody cut it", bytes)
		return
	}
	v.unreadable(errors.New("it has no end"))
}

func (v *verifier) here() place { return place{file: v.file, line: v.line} }

// unreadable keeps a line that can't be read until the next tells whether it
// took the place of another.
func (v *verifier) unreadable(err error) {
	p := v.here()
	p.why = err.Error()
	v.strange = append(v.strange, p)
}

// one looks at a line that can be read.
func (v *verifier) one(l *line) {
	if !l.sound() {
		v.unreadable(errors.New("its content has not the sum that it says"))
		return
	}
	v.log.Lines++
	v.signature(l)
	if v.stream && l.Stream && l.Seq == 1 {
		v.restart()
	}
	switch {
	case !v.begun:
		v.first(l)
	case l.Seq <= v.head.seq:
		v.late(l)
		return
	default:
		v.follow(l)
	}
	v.head, v.before, v.begun = head{l.Seq, l.sum}, v.here(), true
	l.content = nil // it aliases what is read
	v.last = l
	v.kept = max(v.kept, l.Oldest)
	v.tells(l)
	if e := v.options.Head; e != nil && e.Seq == l.Seq {
		v.headMet = true
		if e.Sum != "" && e.Sum != hex.EncodeToString(l.sum[:]) {
			v.find(Changed, v.here(), l.Seq, "line %d is not the one whose head is expected: its sum is %x", l.Seq, l.sum)
		}
	}
}

// first begins with the first line that is there.
func (v *verifier) first(l *line) {
	v.log.First = l.Seq
	for _, p := range v.strange {
		v.find(Changed, p, 0, "this line was changed: %s", p.why)
	}
	v.stream = l.Stream
	// A line in place of one that can't be read has its number.
	v.log.First -= min(uint64(len(v.strange)), l.Seq-1)
	v.strange = nil
	if l.Seq == 1 && l.prev != (sum{}) {
		v.find(Changed, v.here(), 1, "line 1 says that another is before it")
	}
}

// follow compares a line with the one before it.
func (v *verifier) follow(l *line) {
	next := v.head.seq + 1
	replaced := v.replaced(next, l.Seq)
	switch {
	case l.Seq > next && !replaced:
		v.missing = append(v.missing, hole{next, l.Seq - 1, v.here()})
	case l.Seq == next && l.prev != v.head.sum:
		v.find(Changed, v.before, v.head.seq, "line %d was changed or replaced, its sum too: line %d rests on another", v.head.seq, l.Seq)
	}
}

// replaced tells what lines are that can't be read, before the line with number
// seq where number next was expected, and reports whether they account for all
// that is missing.
func (v *verifier) replaced(next, seq uint64) bool {
	for _, p := range v.strange {
		if next < seq {
			v.find(Changed, p, next, "line %d was changed: %s", next, p.why)
			next++
			continue
		}
		v.find(Inserted, p, 0, "this line was inserted: %s", p.why)
	}
	all := next == seq
	if n := len(v.strange); n > 0 && !all {
		v.missing = append(v.missing, hole{next, seq - 1, v.here()})
	}
	had := len(v.strange) > 0
	v.strange = nil
	return all || had
}

// late tells what a line is whose place is before.
func (v *verifier) late(l *line) {
	for i := range v.missing {
		h := &v.missing[i]
		if l.Seq < h.from || l.Seq > h.to {
			continue
		}
		v.find(Reordered, v.here(), l.Seq, "line %d stands behind line %d", l.Seq, v.head.seq)
		if before := (hole{h.from, l.Seq - 1, h.at}); before.from <= before.to {
			v.missing = append(v.missing, before)
		}
		v.missing[i].from = l.Seq + 1 // empty, perhaps
		return
	}
	v.find(Inserted, v.here(), l.Seq, "line %d is here once more, behind line %d", l.Seq, v.head.seq)
}

// signature looks at a line's mac.
func (v *verifier) signature(l *line) {
	v.signed = v.signed || l.Signed || l.mac != nil
	switch {
	case l.mac != nil:
		v.log.Signed++
		if len(v.options.Keys) > 0 && !l.signedBy(v.options.Keys) {
			v.find(Unsigned, v.here(), l.Seq, "line %d is signed with another key, or was changed", l.Seq)
		}
	case v.signed:
		v.find(Unsigned, v.here(), l.Seq, "line %d is not signed, and lines of this log are from before it on", l.Seq)
	}
}

// tells notes what a line itself says about the log.
func (v *verifier) tells(l *line) {
	switch {
	case l.Kind == KindGap:
		v.log.Dropped += l.Lines
		v.note(v.here(), "gap: %d lines were never written (%s)", l.Lines, l.Why)
	case l.Torn != nil && l.Torn.Lines > 0:
		v.find(Damaged, v.here(), l.Seq, "at this start %d lines behind line %d were none of the log and were set aside, in %s: they were changed, or the disk failed",
			l.Torn.Lines, l.Seq-1, l.Torn.Kept)
	case l.Torn != nil:
		v.note(v.here(), "a crash tore the line before this start: %d bytes, kept in %s", l.Torn.Bytes, l.Torn.Kept)
	}
}

func (v *verifier) find(kind string, at place, seq uint64, format string, args ...any) {
	if len(v.log.Findings) >= maxFindings {
		v.log.More++
		return
	}
	v.log.Findings = append(v.log.Findings, Finding{kind, at.file, at.line, seq, fmt.Sprintf(format, args...)})
}

func (v *verifier) note(at place, format string, args ...any) {
	if len(v.log.Notes) < maxFindings {
		v.log.Notes = append(v.log.Notes, Note{at.file, at.line, fmt.Sprintf(format, args...)})
	}
}
