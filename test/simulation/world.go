package simulation

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	jitter "math/rand" //nolint:depguard // what client-go draws its jitter from
	"math/rand/v2"
	"slices"
	"sync"
	"testing/synctest"
	"time"

	gateway "kubernaut.io/gateway"
)

// world is one schedule: everything that takes part in it, and the scheduler.
// All but what is said to be guarded belongs to the scheduler's goroutine.
type world struct {
	plan
	variant *variant
	rng     *rand.Rand
	began   time.Time

	api      *api
	ledger   *ledger
	replicas []*replica
	senders  []*sender
	series   []*series
	checks   checks
	// locks are those of the variant that has some.
	locks map[gateway.Fingerprint]time.Time

	// healed says that faults have stopped; active is when something happened
	// last since then.
	healed bool
	active time.Time

	mu sync.Mutex
	// parked are the steps that wait to be picked, guarded by mu.
	parked map[string]*step
	// numbers tells steps of the same description apart, guarded by mu.
	numbers map[string]int
	// news is told of steps that come to be parked.
	news chan struct{}
	// done are deliveries that replicas are done with, guarded by mu.
	done []finished

	taken int
	// lasted is how much virtual time the schedule took.
	lasted time.Duration
	trace  []string
	faults map[string]int
	// broken says which promise was broken first.
	broken string
}

// step is something that waits to be picked: a call that is on its way, an
// answer on its way back.
type step struct {
	// id says what it is, for the trace, and is the same in each run.
	id string
	// menu lists the faults that may befall it.
	menu []fault
	// do lets it happen.
	do func(f fault)
	// until is when it is too late, zero for never.
	until time.Time
}

// fault is what goes wrong with a step, empty for nothing.
type fault string

// choice is one thing that the scheduler may do next.
type choice struct {
	weight int
	text   string
	do     func()
}

func newWorld(seed uint64, v *variant) *world {
	w := &world{
		variant: v, rng: rand.New(rand.NewPCG(seed, 0x5eed)), began: time.Now(),
		parked: make(map[string]*step), numbers: make(map[string]int), locks: make(map[gateway.Fingerprint]time.Time), news: make(chan struct{}, 1), faults: make(map[string]int),
	}
	w.reseed()
	w.plan = draw(w.rng)
	if v.plan != nil {
		v.plan(&w.plan)
	}
	w.checks.init(w)
	w.api = newAPI(w)
	w.ledger = newLedger(w)
	w.populate()
	return w
}

// reseed makes the jitter that client-go draws follow from the schedule's seed.
func (w *world) reseed() {
	jitter.Seed(w.rng.Int64()) //nolint:staticcheck // it is client-go that draws from the global source
}

// offer makes a step one that may be picked.
func (w *world) offer(s *step) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.numbers[s.id]++
	if n := w.numbers[s.id]; n > 1 {
		s.id = fmt.Sprintf("%s (%d)", s.id, n)
	}
	w.parked[s.id] = s
	select {
	case w.news <- struct{}{}:
	default:
	}
}

// withdraw takes a step back, and reports whether it had not been picked.
func (w *world) withdraw(s *step) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.parked[s.id] != s {
		return false
	}
	delete(w.parked, s.id)
	return true
}

// errCut is what a caller meets whose connection or life ended.
var errCut = errors.New("connection lost")

// await offers a step that calls back with the caller's answer, and waits for
// it or for ctx. Late is called, if not nil, when ctx ended before the step was
// picked.
func await[T any](ctx context.Context, w *world, id string, menu []fault, do func(f fault, answer func(T)), late func()) (T, error) {
	answers := make(chan T, 1)
	s := &step{id: id, menu: menu}
	s.do = func(f fault) { do(f, func(t T) { answers <- t }) }
	w.offer(s)
	select {
	case t := <-answers:
		return t, nil
	case <-ctx.Done():
		if w.withdraw(s) && late != nil {
			late()
		}
		var none T
		return none, context.Cause(ctx)
	}
}

// sorted returns the parked steps in the order of their descriptions.
func (w *world) sorted() []*step {
	w.mu.Lock()
	defer w.mu.Unlock()
	steps := make([]*step, 0, len(w.parked))
	for _, s := range w.parked {
		if !s.until.IsZero() && time.Now().After(s.until) {
			delete(w.parked, s.id)
			continue
		}
		steps = append(steps, s)
	}
	slices.SortFunc(steps, func(a, b *step) int { return cmp.Compare(a.id, b.id) })
	return steps
}

// log adds a line to the trace.
func (w *world) log(format string, args ...any) {
	w.trace = append(w.trace, fmt.Sprintf("%12s  ", time.Since(w.began).Round(time.Microsecond))+fmt.Sprintf(format, args...))
}

// fail notes that a promise is broken, once.
func (w *world) fail(format string, args ...any) {
	if w.broken == "" {
		w.broken = fmt.Sprintf(format, args...)
		w.log("BROKEN: %s", w.broken)
	}
}

// hash returns a hash of all that happened.
func (w *world) hash() uint64 {
	h := fnv.New64a()
	for _, line := range w.trace {
		_, _ = io.WriteString(h, line)
		_, _ = h.Write([]byte{'\n'})
	}
	return h.Sum64()
}

// run lets the schedule happen: first with faults, then to its rest.
func (w *world) run() {
	w.open()
	for w.taken < w.steps && w.broken == "" {
		synctest.Wait()
		w.pick(w.choices())
		w.settled()
	}
	w.heal()
	if w.rest("after the faults"); w.broken == "" {
		w.forever()
	}
	w.lasted = time.Since(w.began)
	w.stop()
}

// open starts the replicas, one after the other.
func (w *world) open() {
	for _, r := range w.replicas {
		time.Sleep(w.moment(time.Second))
		r.start()
		for synctest.Wait(); !r.in.synced(); synctest.Wait() {
			w.take(w.sorted()[0])
		}
	}
}

// finished is a delivery that its replica is done with.
type finished struct {
	*delivery
	accepted bool
}

// returned is told, by the delivery's own goroutine, what a replica decided.
func (w *world) returned(d *delivery, accepted bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.done = append(w.done, finished{d, accepted})
}

// settled waits until nothing moves, looks whether all promises hold, and lets
// answers be on their way.
func (w *world) settled() {
	synctest.Wait()
	w.mu.Lock()
	done := w.done
	w.done = nil
	w.mu.Unlock()
	slices.SortFunc(done, func(a, b finished) int { return cmp.Compare(a.sender.name+a.group.name, b.sender.name+b.group.name) })
	for _, d := range done {
		w.checks.answered(d.delivery, d.accepted)
		var menu []fault
		if w.lost {
			menu = []fault{replyLost}
		}
		w.offer(&step{id: fmt.Sprintf("%s answers %s with %s", d.in.name, d.id, d.summary(d.accepted)), menu: menu, do: func(f fault) {
			d.told(d.accepted, f)
		}})
	}
	if w.broken == "" {
		w.checks.step()
	}
}

// pick does one of the choices.
func (w *world) pick(choices []choice) {
	total := 0
	for _, c := range choices {
		total += c.weight
	}
	n := w.rng.IntN(total)
	time.Sleep(w.moment(2 * time.Millisecond))
	for _, c := range choices {
		if n -= c.weight; n < 0 {
			w.taken++
			if c.text != "" {
				w.log("%s", c.text)
			}
			c.do()
			return
		}
	}
}

// choices lists what may happen next while there are faults.
func (w *world) choices() []choice {
	var list []choice
	add := func(weight int, text string, do func()) { list = append(list, choice{weight, text, do}) }
	parked := w.sorted()
	for _, s := range parked {
		add(5, "", func() { w.take(s) })
	}
	w.api.choices(add)
	for _, r := range w.replicas {
		r.choices(add)
	}
	for _, s := range w.senders {
		s.choices(add)
	}
	w.ledger.choices(add)
	w.people(add)
	w.times(len(parked) > 0, add)
	return list
}

// times adds how long nothing else happens. To let a call wait for long is a
// fault like others.
func (w *world) times(waiting bool, add func(int, string, func())) {
	lengths := []time.Duration{brief, time.Second, 5 * time.Second, 20 * time.Second, time.Minute, 5 * time.Minute}
	switch {
	case waiting && w.late:
		lengths = lengths[:4]
	case waiting:
		lengths = lengths[:1]
	}
	for _, d := range lengths {
		add(2, "", func() { w.pass(d) })
	}
}

// moment returns a time up to d, to the nanosecond: nothing that the scheduler
// does may fall on the very instant of some timer, for then it would be open
// which is first.
func (w *world) moment(d time.Duration) time.Duration {
	return 1 + time.Duration(w.rng.Int64N(int64(d)))
}

// take picks a parked step, perhaps with a fault.
func (w *world) take(s *step) {
	if !w.withdraw(s) {
		return
	}
	var f fault
	if len(s.menu) > 0 && w.taken > 0 && !w.healed && w.rng.IntN(100) < w.faulty {
		f = s.menu[w.rng.IntN(len(s.menu))]
		w.faults[string(f)]++
		w.log("%s: %s", s.id, f)
	} else {
		w.log("%s", s.id)
	}
	s.do(f)
}

// brief is how long a call may wait where delays are no fault.
const brief = 50 * time.Millisecond

// bookmarkEvery is how often a watch on which nothing happens is heard of.
const bookmarkEvery = 50 * time.Second

// pass lets time pass, in which API servers send bookmarks. Where delays are no
// fault of the schedule, it ends as soon as there is something to pick.
func (w *world) pass(d time.Duration) {
	if w.calm() && len(w.sorted()) > 0 {
		d = min(d, brief) // a call has come up since it was chosen
	}
	begin := time.Now()
	for end := begin.Add(d); time.Now().Before(end); {
		select {
		case <-w.news: // of before
		default:
		}
		news := w.news
		if w.late && !w.healed {
			news = nil
		}
		timer := time.NewTimer(min(time.Until(end), bookmarkEvery) + w.moment(time.Millisecond))
		select {
		case <-timer.C:
			synctest.Wait()
			w.api.bookmarks()
		case <-news:
			timer.Stop()
			end = time.Now()
		}
		synctest.Wait()
	}
	w.log("%s pass", time.Since(begin))
}
