package telemetry

import (
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	gateway "kubernaut.io/gateway"
)

const (
	// maxNamespaces is how many namespaces have series of their own. A sender
	// may write any namespace on an alert.
	maxNamespaces = 200
	// otherNamespace stands for those beyond, and for what can't be one.
	otherNamespace = "other"
	// noNamespace stands for signals about nothing in a namespace.
	noNamespace = "none"
)

// namespace holds the series of one namespace, looked up once.
type namespace struct {
	deduplicated, storms prometheus.Counter
	rate                 window
}

// namespaces is the bounded set of namespaces with series of their own. Reading
// takes no lock, as each signal does it; what is new is rare and copies the map.
type namespaces struct {
	now                  func() time.Time
	deduplicated, storms *prometheus.CounterVec
	rate                 *prometheus.Desc
	known                atomic.Pointer[map[string]*namespace]
	adding               sync.Mutex
}

func newNamespaces(f *factory, own string, now func() time.Time) *namespaces {
	n := &namespaces{
		now:          now,
		deduplicated: f.counters("deduplicated_total", "Signals that were duplicates, by namespace.", "namespace"),
		storms:       f.counters("storm_detected_total", "Storms that were opened, by the namespace of the signal that opened them.", "namespace"),
		rate: prometheus.NewDesc(prefix+"_deduplication_rate",
			"Share of duplicates among the firing signals that this replica accepted in the last 5 minutes, by namespace.",
			[]string{"namespace"}, nil),
	}
	n.known.Store(&map[string]*namespace{})
	for _, name := range []string{otherNamespace, noNamespace, own} {
		n.add(name)
	}
	f.register(n)
	return n
}

// of returns the series for a namespace by name.
func (n *namespaces) of(name string) *namespace {
	if name == "" {
		name = noNamespace
	}
	known := *n.known.Load()
	if ns, ok := known[name]; ok {
		return ns
	}
	if full(known) || !gateway.IsDNSLabel(name) {
		return known[otherNamespace]
	}
	return n.add(name)
}

// full reports whether no further namespace gets a name of its own; the two
// that stand for many are no names.
func full(known map[string]*namespace) bool { return len(known) >= maxNamespaces+2 }

func (n *namespaces) add(name string) *namespace {
	n.adding.Lock()
	defer n.adding.Unlock()
	known := *n.known.Load()
	if ns, ok := known[name]; ok {
		return ns
	}
	if full(known) {
		return known[otherNamespace]
	}
	ns := &namespace{
		deduplicated: n.deduplicated.WithLabelValues(name),
		storms:       n.storms.WithLabelValues(name),
	}
	grown := maps.Clone(known)
	grown[name] = ns
	n.known.Store(&grown)
	return ns
}

// Describe implements prometheus.Collector for the deduplication rate.
func (n *namespaces) Describe(ch chan<- *prometheus.Desc) { ch <- n.rate }

// Collect implements prometheus.Collector for the deduplication rate, which
// falls with time even where nothing comes.
func (n *namespaces) Collect(ch chan<- prometheus.Metric) {
	now := n.now()
	for name, ns := range *n.known.Load() {
		ch <- prometheus.MustNewConstMetric(n.rate, prometheus.GaugeValue, ns.rate.share(now), name)
	}
}

const (
	// slots of slotLength make up the 5 min of the deduplication rate.
	slots      = 30
	slotLength = 10 * time.Second
)

// slot counts what came within one slotLength.
type slot struct {
	number           int64
	duplicates, came uint64
}

// window counts what came in the last slots, the current one included. The
// zero window is empty.
type window struct {
	mu   sync.Mutex
	ring [slots]slot
}

// add counts one signal. A clock that was set back counts in the slot that is
// newest in its place.
func (w *window) add(now time.Time, duplicate bool) {
	number := slotNumber(now)
	w.mu.Lock()
	defer w.mu.Unlock()
	s := &w.ring[number%slots]
	if s.number < number {
		*s = slot{number: number}
	}
	s.came++
	if duplicate {
		s.duplicates++
	}
}

// share returns the duplicates' share of what came, 0 where nothing did.
func (w *window) share(now time.Time) float64 {
	newest := slotNumber(now)
	w.mu.Lock()
	defer w.mu.Unlock()
	var duplicates, came uint64
	for i := range w.ring {
		if s := &w.ring[i]; s.number > newest-slots && s.number <= newest {
			duplicates += s.duplicates
			came += s.came
		}
	}
	if came == 0 {
		return 0
	}
	return float64(duplicates) / float64(came)
}

func slotNumber(t time.Time) int64 { return max(0, t.UnixNano()) / int64(slotLength) }
