package simulation

import (
	"fmt"
	"slices"
	"testing/synctest"
	"time"
)

const (
	// quietAfter is how long nothing has happened when the world is at rest.
	quietAfter = 40 * time.Second
	// maxRest bounds the steps to a rest. Schedules take some dozens.
	maxRest = 2000
	// noRest is told where the steps to a rest come to no end.
	noRest = "no rest is found"
	// rounds is how often what fires is sent again in the end, roundEvery how
	// far apart: beyond stuckAfter and cooldown together.
	rounds     = 7
	roundEvery = 2*time.Minute + 30*time.Second
)

// heal ends all faults. What was done wrong stays.
func (w *world) heal() {
	w.log("faults stop")
	w.healed, w.active = true, time.Now()
	w.api.weather = ""
	w.ledger.away.Store(false)
	for _, r := range w.replicas {
		if r.in.dead.Load() {
			r.start()
			synctest.Wait()
		}
	}
}

// calmly lists what may happen next without faults: what is under way goes on,
// what was not accepted is sent again, what was spooled is drained.
func (w *world) calmly() []choice {
	var list []choice
	add := func(weight int, text string, do func()) { list = append(list, choice{weight, text, do}) }
	for _, s := range w.sorted() {
		add(1, "", func() { w.take(s) })
	}
	for _, o := range w.api.open() {
		if n := o.pending(); n > 0 && !o.silent {
			add(1, fmt.Sprintf("%s is shown all %d changes", o.in.name, n), func() { o.tell(n) })
		}
	}
	for _, s := range w.senders {
		for _, g := range s.groups {
			if g.under != nil || !slices.ContainsFunc(w.replicas, func(r *replica) bool { return r.in.synced() }) {
				continue
			}
			if g.again != nil {
				add(1, "", func() { s.send(g, g.again) })
			} else if slices.ContainsFunc(g.known, (*known).news) {
				add(1, "", func() { s.flush(g) })
			}
		}
	}
	for _, r := range w.replicas {
		if r.in.synced() {
			r.in.restore()
			r.spool.choices(r.in, add)
		}
	}
	return list
}

// rest lets the world come to its rest, and looks at it.
func (w *world) rest(when string) {
	for n := 0; w.broken == ""; n++ {
		if n == maxRest {
			w.fail("%s %s", noRest, when)
			return
		}
		w.settled()
		if list := w.calmly(); len(list) > 0 {
			w.pick(list)
			w.active = time.Now()
			continue
		}
		if w.resting() {
			break
		}
		w.pass(5 * time.Second)
	}
	if w.broken == "" {
		w.log("at rest %s", when)
		w.checks.rest()
	}
}

// resting reports whether nothing is under way and nothing was written lately.
func (w *world) resting() bool {
	for _, s := range w.senders {
		for _, g := range s.groups {
			if g.under != nil || g.again != nil {
				return false
			}
		}
	}
	for _, r := range w.replicas {
		watching := slices.ContainsFunc(w.api.open(), func(o *watcher) bool { return o.in == r.in && !o.silent })
		if !r.in.synced() || !watching || len(r.spool.entries) > 0 || r.in.sweeping {
			w.active = time.Now()
			return false
		}
	}
	return time.Since(w.active) >= quietAfter
}

// forever sends again and again what still fires, and sweeps storms.
func (w *world) forever() {
	for n := range rounds {
		for _, s := range w.senders {
			for _, g := range s.groups {
				if g.under == nil && g.sendable() {
					time.Sleep(w.moment(time.Millisecond))
					s.flush(g)
					w.active = time.Now()
					w.settled()
				}
			}
		}
		w.rest(fmt.Sprintf("after round %d", n+1))
		if w.broken != "" {
			return
		}
		if n == rounds-1 {
			w.checks.progress()
			return
		}
		w.pass(roundEvery)
		for _, r := range w.replicas {
			time.Sleep(w.moment(time.Millisecond))
			r.in.sweep()
			w.settled()
		}
	}
}

// stop ends all replicas, and waits until nothing of them is left.
func (w *world) stop() {
	for _, r := range w.replicas {
		if !r.in.dead.Load() {
			r.in.crash()
		}
	}
	time.Sleep(time.Minute)
	synctest.Wait()
}
