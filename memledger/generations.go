package memledger

import "time"

// generations is a map that forgets what was not put for idle at least and
// twice that at most. It is two maps of which the older is dropped whole, so
// that forgetting needs neither a scan nor a time with every entry.
type generations[K comparable, V any] struct {
	idle       time.Duration
	young, old map[K]V
	// born is when young became the younger one.
	born time.Time
}

func (g *generations[K, V]) get(key K) (V, bool) {
	if v, ok := g.young[key]; ok {
		return v, true
	}
	v, ok := g.old[key]
	return v, ok
}

func (g *generations[K, V]) put(key K, v V) {
	if g.young == nil {
		g.young = make(map[K]V)
	}
	g.young[key] = v
}

func (g *generations[K, V]) age(now time.Time) {
	switch aged := now.Sub(g.born); {
	case aged < g.idle:
		return
	case aged < 2*g.idle:
		g.old = g.young
	default:
		g.old = nil
	}
	g.young, g.born = nil, now
}
