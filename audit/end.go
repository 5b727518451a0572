package audit

import (
	"cmp"
	"fmt"
	"slices"
)

// restart begins another chain in a stream, where each process has its own.
func (v *verifier) restart() {
	if !v.begun {
		return
	}
	v.ends()
	v.note(v.here(), "another process begins: its chain is one of its own, and nothing tells whether lines are missing between the two")
	v.begun, v.last, v.head, v.kept = false, nil, head{}, 0
}

// end tells what only shows at the end of a log.
func (v *verifier) end() {
	v.ends()
	e := v.options.Head
	switch {
	case e == nil || v.headMet:
	case e.Seq > v.head.seq:
		v.find(Missing, v.here(), e.Seq, "the log ends with line %d, and line %d is expected: %s cut off its end",
			v.head.seq, e.Seq, were(v.head.seq+1, e.Seq))
	default:
		v.find(Missing, v.here(), e.Seq, "line %d, which is expected, is not there", e.Seq)
	}
	if v.log.Signed > 0 && len(v.options.Keys) == 0 {
		v.note(place{}, "%d lines are signed, which was not checked: without the key nobody can tell a log that was written anew as a whole", v.log.Signed)
	}
	if v.log.Signed == 0 && len(v.options.Keys) > 0 {
		v.find(Unsigned, place{file: v.source.files[0], line: 1}, 0, "no line is signed, and a key was given")
	}
	slices.SortStableFunc(v.log.Findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(slices.Index(v.source.files, a.File), slices.Index(v.source.files, b.File)), cmp.Compare(a.Line, b.Line))
	})
}

// were begins to tell what was done to lines.
func were(from, to uint64) string {
	if from == to {
		return fmt.Sprintf("line %d was", from)
	}
	return fmt.Sprintf("lines %d to %d were", from, to)
}

// ends tells what only shows at the end of a chain.
func (v *verifier) ends() {
	for _, p := range v.strange {
		v.find(Changed, p, 0, "this line was changed: %s", p.why)
	}
	v.strange = nil
	for _, h := range v.missing {
		switch {
		case h.from == h.to:
			v.find(Missing, h.at, h.from, "line %d is missing before this one", h.from)
		case h.from < h.to:
			v.find(Missing, h.at, h.from, "lines %d to %d are missing before this one", h.from, h.to)
		}
	}
	v.missing = nil
	v.beginning()
	v.log.Closed = v.last != nil && v.last.Kind == KindStop
	if v.last == nil {
		v.find(Missing, v.here(), 0, "there is no line in it")
		return
	}
	v.log.Last, v.log.Head = v.head.seq, v.head.String()
	if !v.log.Closed {
		v.note(v.here(), "it does not end with a closing line: the gateway runs or was killed, or lines were cut off its end; "+
			"only an expected head (--expect-head) tells")
	}
}

// beginning tells whether the first lines are there that should be.
func (v *verifier) beginning() {
	first := v.log.First
	if v.last == nil || first <= 1 {
		return
	}
	if v.source.whole && v.kept < first {
		v.find(Missing, place{file: v.source.files[0], line: 1}, max(v.kept, 1), "the log begins with line %d, and says that all from line %d on are kept", first, max(v.kept, 1))
		return
	}
	v.note(place{file: v.source.files[0], line: 1}, "it begins with line %d; what was before is not here", first)
}
