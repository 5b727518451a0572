package gateway

import (
	"bytes"
	"container/list"
	"maps"
	"sync"
	"time"
)

const (
	// maxParked bounds the signals that are parked, and maxParkedBytes their size:
	// some 6 KiB each, where an alert usually has one or two.
	maxParked      = 10_000
	maxParkedBytes = 64 << 20
	// maxParkedPayload is what a request keeps of a payload, and one byte more, so
	// that one which was cut is seen to be.
	maxParkedPayload = 8<<10 + 1
	// parkedOverhead stands for what a parked signal takes beside its texts.
	parkedOverhead = 1 << 10
)

// ParkRules say how long a parked signal may be unseen.
type ParkRules struct {
	// StaleAfter is for alerts, EventWindow for Events: what was not seen for so
	// long would open no episode, or hold none open, either.
	StaleAfter, EventWindow time.Duration
}

// Parked keeps the signals that would have been acted upon but for a silence or
// the people's switch, until that is over. Of an alert it keeps the newest
// firing signal, and the end before it where that could not be written. It is
// bounded: the oldest goes. It is safe for concurrent use.
type Parked struct {
	rules ParkRules

	mu     sync.Mutex
	alerts map[parkedKey]*parkedAlert
	// order has all parked signals, the one that was seen last at its end.
	order list.List
	bytes int
	lost  int64
}

type parkedKey struct {
	fingerprint Fingerprint
	alert       AlertHash
}

// parkedAlert is what is kept of an alert: places in the order, nil for none.
type parkedAlert struct{ resolved, firing *list.Element }

// parked is a signal in the order. It is never changed.
type parked struct {
	signal Signal
	bytes  int
}

// NewParked returns a Parked that is empty.
func NewParked(rules ParkRules) *Parked {
	return &Parked{rules: rules, alerts: make(map[parkedKey]*parkedAlert)}
}

// Keep parks a copy of a normalized signal in place of what was parked of its
// alert. An end takes a firing out that did not begin after it, and is nothing
// where the firing did.
func (p *Parked) Keep(s *Signal) {
	kept := park(s)
	p.mu.Lock()
	defer p.mu.Unlock()
	a := p.alert(s)
	if a == nil {
		a = &parkedAlert{}
		p.alerts[keyOf(s)] = a
	}
	switch {
	case !s.Resolved:
		p.remove(&a.firing)
		a.firing = p.push(kept)
	case p.end(a, s):
		p.remove(&a.resolved)
		a.resolved = p.push(kept)
	}
	p.forget(s)
	for p.order.Len() > maxParked || p.bytes > maxParkedBytes {
		p.lost++
		p.drop(p.order.Front())
	}
}

// Drop takes out what s, which is acted upon now, makes old: all of its alert,
// but for a firing that began after the end that s tells.
func (p *Parked) Drop(s *Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	a := p.alert(s)
	if a == nil {
		return
	}
	if !s.Resolved {
		p.remove(&a.firing)
		p.remove(&a.resolved)
	} else if p.end(a, s) {
		p.remove(&a.resolved)
	}
	p.forget(s)
}

// Return parks a signal again that Due took out and that could not be decided,
// unless its alert has been parked anew since.
func (p *Parked) Return(s *Signal) {
	p.mu.Lock()
	a := p.alert(s)
	newer := a != nil && (a.firing != nil || s.Resolved && a.resolved != nil)
	p.mu.Unlock()
	if !newer {
		p.Keep(s)
	}
}

// Due takes out and returns the signals for which still is false, in the order
// in which they were seen last. Those that were not seen for too long at the
// given time are dropped. It takes out as many as most. It doesn't hold up others while still is asked,
// which must not change its argument.
func (p *Parked) Due(now time.Time, most int, still func(*Signal) bool) []Signal {
	var due []Signal
	for _, e := range p.elements() {
		if len(due) >= most {
			break
		}
		s := e.Value.(*parked)
		stale := now.Sub(s.signal.ReceivedAt) >= p.limit(&s.signal)
		if !stale && still(&s.signal) {
			continue
		}
		if p.take(e) && !stale {
			due = append(due, s.signal)
		}
	}
	return due
}

// Len returns how many signals are parked.
func (p *Parked) Len() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.order.Len()
}

// Lost returns how many signals had to go for want of room.
func (p *Parked) Lost() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lost
}

// park returns a copy of s that shares nothing with the request's body.
func park(s *Signal) *parked {
	kept := &parked{signal: *s, bytes: parkedOverhead}
	c := &kept.signal
	c.Payload = bytes.Clone(s.Payload[:min(len(s.Payload), maxParkedPayload)])
	c.Labels, c.Annotations = maps.Clone(s.Labels), maps.Clone(s.Annotations)
	kept.bytes += len(c.Payload)
	for _, m := range []map[string]string{c.Labels, c.Annotations} {
		for k, v := range m {
			kept.bytes += len(k) + len(v)
		}
	}
	return kept
}

// limit is how long s may be unseen.
func (p *Parked) limit(s *Signal) time.Duration {
	if s.IsEvent() {
		return p.rules.EventWindow
	}
	return p.rules.StaleAfter
}

// elements returns all places in the order.
func (p *Parked) elements() []*list.Element {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make([]*list.Element, 0, p.order.Len())
	for e := p.order.Front(); e != nil; e = e.Next() {
		all = append(all, e)
	}
	return all
}

// take takes e out and reports whether it was still there.
func (p *Parked) take(e *list.Element) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	a := p.alert(&e.Value.(*parked).signal)
	if a == nil || a.firing != e && a.resolved != e {
		return false
	}
	p.drop(e)
	return true
}

// What follows needs the lock.

func keyOf(s *Signal) parkedKey { return parkedKey{s.Fingerprint, s.Alert} }

func (p *Parked) alert(s *Signal) *parkedAlert { return p.alerts[keyOf(s)] }

// end takes out the firing that s ends, and reports whether s is the end of what
// is parked: of a firing that began after it it is not.
func (p *Parked) end(a *parkedAlert, s *Signal) bool {
	if a.firing != nil && a.firing.Value.(*parked).signal.StartsAt.After(SightingOf(s).EndsAt) {
		return false
	}
	p.remove(&a.firing)
	return true
}

func (p *Parked) push(kept *parked) *list.Element {
	p.bytes += kept.bytes
	return p.order.PushBack(kept)
}

// remove empties one place of an alert.
func (p *Parked) remove(place **list.Element) {
	if *place == nil {
		return
	}
	p.bytes -= (*place).Value.(*parked).bytes
	p.order.Remove(*place)
	*place = nil
}

// drop takes e out of the order and out of its alert.
func (p *Parked) drop(e *list.Element) {
	s := &e.Value.(*parked).signal
	a := p.alert(s)
	if a.firing == e {
		p.remove(&a.firing)
	} else {
		p.remove(&a.resolved)
	}
	p.forget(s)
}

// forget removes the alert of s if nothing is kept of it.
func (p *Parked) forget(s *Signal) {
	if a := p.alert(s); a != nil && a.firing == nil && a.resolved == nil {
		delete(p.alerts, keyOf(s))
	}
}
