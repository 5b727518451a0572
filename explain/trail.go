package explain

import (
	"slices"
	"time"

	gateway "kubernaut.io/gateway"
)

// trail is a decision's steps, sorted by what they are about. Faults are nil
// for success, as steps have them.
type trail struct {
	name func(sequence int64) string

	// owner is what controls the resource, nil where nobody looked.
	owner *gateway.Ownership
	// orders are what people have ordered, each once.
	orders         []gateway.Ordered
	silence        string
	lock           *gateway.Fault
	queued, away   bool
	append, aside  *gateway.Fault
	drained        time.Time
	rounds         []round
	again, standby bool
}

// round is what a decision rested on from one look at the requests to the next.
type round struct {
	// notCurrent says that the watch was silent.
	notCurrent                     bool
	settle, refresh, closing, keep *gateway.Fault
	known                          *gateway.Newest
	// fixed says that known is what was judged by: what is looked up later is of
	// other fingerprints. Read says that it was read live.
	fixed, read bool
	memory      *gateway.Recalled
	labels      []named[gateway.Labels]
	override    *gateway.Override
	judged      *gateway.Judged
	groups      []group
	holdings    []gateway.Holding
	memberships []string
	booking     *named[gateway.Booked]
	holding     gateway.Holding
	create      *named[gateway.Made]
	join        *named[gateway.Joined]
	note        *gateway.Noted
	count       *gateway.Counted
	resolve     *gateway.Fault
}

// named is an answer with what it is about.
type named[T any] struct {
	of     string
	answer T
}

// group is what was learned of a group of storms.
type group struct {
	gateway.Group
	shown   *gateway.Storms
	entry   gateway.Entry
	entered *gateway.Entered
}

// read returns a step's Of or Answer, as much of it as can be read.
func read[T any](v any) T {
	as, _ := gateway.Read[T](v)
	return as
}

func follow(d *gateway.Decision) *trail {
	t := &trail{name: func(sequence int64) string { return gateway.RequestName(d.Fingerprint, sequence) }}
	for i := range d.Steps {
		s := &d.Steps[i]
		if learn, ok := learns[s.Op]; ok {
			learn(t, s)
		}
	}
	return t
}

// learns says what is learned by each kind of step.
var learns = map[gateway.Op]func(t *trail, s *gateway.Step){
	gateway.OpOwner:       func(t *trail, s *gateway.Step) { t.owner = ptr(read[gateway.Ownership](s.Answer)) },
	gateway.OpNewest:      (*trail).newest,
	gateway.OpCurrent:     func(t *trail, _ *gateway.Step) { t.round().notCurrent = true },
	gateway.OpSettle:      func(t *trail, s *gateway.Step) { t.round().settle = t.fault(s.Answer) },
	gateway.OpRefresh:     func(t *trail, s *gateway.Step) { t.round().refresh = t.fault(s.Answer) },
	gateway.OpCreate:      (*trail).create,
	gateway.OpNote:        func(t *trail, s *gateway.Step) { t.fixed().note = ptr(read[gateway.Noted](s.Answer)) },
	gateway.OpResolve:     func(t *trail, s *gateway.Step) { t.fixed().resolve = t.fault(s.Answer) },
	gateway.OpHoldings:    func(t *trail, s *gateway.Step) { t.fixed().holdings = read[[]gateway.Holding](s.Answer) },
	gateway.OpMemberships: func(t *trail, s *gateway.Step) { t.fixed().memberships = read[[]string](s.Answer) },
	gateway.OpStorms:      (*trail).storms,
	gateway.OpJoin:        (*trail).join,
	gateway.OpCloseStorms: func(t *trail, s *gateway.Step) { t.fixed().closing = t.fault(s.Answer) },
	gateway.OpRecall:      func(t *trail, s *gateway.Step) { t.fixed().memory = ptr(read[gateway.Recalled](s.Answer)) },
	gateway.OpRemember:    func(t *trail, s *gateway.Step) { t.fixed().keep = read[*gateway.Fault](s.Answer) },
	gateway.OpCount:       func(t *trail, s *gateway.Step) { t.fixed().count = ptr(read[gateway.Counted](s.Answer)) },
	gateway.OpEnter:       (*trail).enter,
	gateway.OpBook:        (*trail).book,
	gateway.OpLabels:      (*trail).labels,
	gateway.OpOverride:    func(t *trail, s *gateway.Step) { t.fixed().override = ptr(read[gateway.Override](s.Answer)) },
	gateway.OpMode:        (*trail).mode,
	gateway.OpSilenced:    func(t *trail, s *gateway.Step) { t.silence = read[string](s.Answer) },
	gateway.OpNow:         (*trail).now,
	gateway.OpLock:        func(t *trail, s *gateway.Step) { t.lock = read[*gateway.Fault](s.Answer) },
	gateway.OpQueued:      func(t *trail, _ *gateway.Step) { t.queued = true },
	gateway.OpAway:        func(t *trail, _ *gateway.Step) { t.away = true },
	gateway.OpAppend:      func(t *trail, s *gateway.Step) { t.append = read[*gateway.Fault](s.Answer) },
	gateway.OpSetAside:    func(t *trail, s *gateway.Step) { t.aside = read[*gateway.Fault](s.Answer) },
	gateway.OpJudged:      func(t *trail, s *gateway.Step) { t.fixed().judged = ptr(read[gateway.Judged](s.Of)) },
}

func ptr[T any](v T) *T { return &v }

// round returns the round that is going on.
func (t *trail) round() *round {
	if len(t.rounds) == 0 {
		t.rounds = make([]round, 1)
	}
	return &t.rounds[len(t.rounds)-1]
}

// fixed returns the round, in which the requests have been looked at by now.
func (t *trail) fixed() *round {
	r := t.round()
	r.fixed = true
	return r
}

// fault reads an error, and sees whether all has to be decided again for it.
func (t *trail) fault(v any) *gateway.Fault {
	f := read[*gateway.Fault](v)
	if stale(f) {
		t.again = true
	}
	return f
}

func stale(f *gateway.Fault) bool { return f != nil && f.Is(gateway.ErrStale) }

func (t *trail) newest(s *gateway.Step) {
	if t.standby {
		// Whether what took the name stands for the episode.
		t.standby = false
		return
	}
	if t.again {
		t.again = false
		t.rounds = append(t.rounds, round{})
	}
	r := t.round()
	if r.fixed {
		return
	}
	// Between two looks at the requests is only what reads them live, where one
	// answer came between.
	r.read = r.known != nil && s.After == 1
	r.known = ptr(read[gateway.Newest](s.Answer))
}

func (t *trail) create(s *gateway.Step) {
	r := t.fixed()
	r.create = &named[gateway.Made]{read[string](s.Of), read[gateway.Made](s.Answer)}
	if stale(r.create.answer.Fault) {
		t.again = true
		t.standby = r.known != nil && r.create.of == t.name(r.known.Highest+1)
	}
}

func (t *trail) join(s *gateway.Step) {
	r := t.fixed()
	r.join = &named[gateway.Joined]{read[string](s.Of), read[gateway.Joined](s.Answer)}
	t.again = t.again || stale(r.join.answer.Fault)
}

// group returns what is known of a group.
func (r *round) group(g gateway.Group) *group {
	at := slices.IndexFunc(r.groups, func(o group) bool { return o.Group == g })
	if at < 0 {
		at = len(r.groups)
		r.groups = append(r.groups, group{Group: g})
	}
	return &r.groups[at]
}

// storms keeps what was seen of a group at first.
func (t *trail) storms(s *gateway.Step) {
	g := t.fixed().group(read[gateway.Group](s.Of))
	if g.shown != nil || g.entered != nil {
		return
	}
	shown := read[gateway.Storms](s.Answer)
	shown.Open = slices.DeleteFunc(slices.Clone(shown.Open), func(r *gateway.Request) bool { return r == nil || r.Storm == nil })
	g.shown = &shown
}

func (t *trail) enter(s *gateway.Step) {
	e := read[gateway.Entry](s.Of)
	g := t.fixed().group(e.Group)
	g.entry, g.entered = e, ptr(read[gateway.Entered](s.Answer))
}

func (t *trail) book(s *gateway.Step) {
	r := t.fixed()
	r.holding = read[gateway.Holding](s.Of)
	r.booking = &named[gateway.Booked]{r.holding.ID, read[gateway.Booked](s.Answer)}
}

func (t *trail) labels(s *gateway.Step) {
	r := t.fixed()
	r.labels = append(r.labels, named[gateway.Labels]{read[string](s.Of), read[gateway.Labels](s.Answer)})
}

func (t *trail) mode(s *gateway.Step) {
	if o := read[gateway.Ordered](s.Answer); !slices.Contains(t.orders, o) {
		t.orders = append(t.orders, o)
	}
}

// now keeps when a signal was taken up again. What is asked for later is when a
// place in the budget was asked for.
func (t *trail) now(s *gateway.Step) {
	if len(t.rounds) == 0 {
		t.drained = read[time.Time](s.Answer)
	}
}
