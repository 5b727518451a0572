package gateway

import "time"

// Signs is what replicas know together of a source's signs of life: an alert that
// fires as long as all is well there, and is sent again and again. All times are
// received ones, and those of the zero Signs say that nothing is known.
type Signs struct {
	// Last is when the newest sign came.
	Last time.Time
	// Ended is when the sender last told that the alert which is the sign had ended.
	Ended time.Time
	// Since is when a sign was first waited for, where one is expected in any case.
	Since time.Time
	// Silent is when it was last found that the source is silent.
	Silent time.Time
}

// Merge returns what s and o know together, whatever their order.
func (s Signs) Merge(o Signs) Signs {
	m := Signs{Last: later(s.Last, o.Last), Ended: later(s.Ended, o.Ended), Since: s.Since, Silent: later(s.Silent, o.Silent)}
	if m.Since.IsZero() || !o.Since.IsZero() && o.Since.Before(m.Since) {
		m.Since = o.Since
	}
	return m
}

// Equal reports whether s and o know the same.
func (s Signs) Equal(o Signs) bool {
	return s.Last.Equal(o.Last) && s.Ended.Equal(o.Ended) && s.Since.Equal(o.Since) && s.Silent.Equal(o.Silent)
}

// Heartbeat says when a source whose signs of life stay away is silent.
type Heartbeat struct {
	// Interval is the time from one sign to the next, and Grace how much longer one
	// may take.
	Interval, Grace time.Duration
	// Expected says that a sign has to come at all. Else a source that has never
	// given one may have none.
	Expected bool
}

// Due returns when the next sign is due, and whether one is. It is at once where
// the sender itself has told of the end.
func (h Heartbeat) Due(s Signs) (due time.Time, ok bool) {
	switch {
	case !s.Last.IsZero() && s.Ended.After(s.Last):
		return s.Ended, true
	case !s.Last.IsZero():
		return s.Last.Add(h.Interval), true
	case h.Expected && !s.Since.IsZero():
		return s.Since.Add(h.Interval), true
	default:
		return time.Time{}, false
	}
}

// Silent reports whether a source is silent now, as far as somebody can tell who
// has listened since a time: what was due before then may have come to nobody, and
// senders try again. What was found before then stands until a sign comes.
func (h Heartbeat) Silent(s Signs, listening, now time.Time) bool {
	due, ok := h.Due(s)
	if !ok {
		return false
	}
	if found := s.Silent.After(s.Last); !found {
		due = later(due, listening)
	}
	return !now.Before(due.Add(h.Grace))
}
