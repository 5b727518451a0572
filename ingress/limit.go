package ingress

import (
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"golang.org/x/time/rate"
)

// What an Observer is told was over its limit.
const (
	LimitRate    = "rate"    // the source's signals a second
	LimitClient  = "client"  // one client's signals a second
	LimitSignals = "signals" // signals in flight
	LimitBytes   = "bytes"   // bytes in flight
)

// Limits are all that there are.
var Limits = []string{LimitRate, LimitClient, LimitSignals, LimitBytes}

const (
	// maxClients is of how many clients of a source is known how much they sent,
	// some 2 MB. Who is forgotten for others begins anew with a full burst; the
	// source's own limit holds for all of them together.
	maxClients = 10_000
	// clientBits is what of an IPv6 address counts as one client: whoever has one
	// address of a network has all of it.
	clientBits = 64
	// complaintInterval is how often the log says that a limit was met.
	complaintInterval = time.Second
)

// Rate is how many signals may come. The zero Rate does not limit them.
type Rate struct {
	SignalsPerSecond float64
	// Burst is how many may come at once; 0 stands for what the rate allows in a
	// second.
	Burst int
}

func (l Rate) validate() error {
	switch {
	case l.SignalsPerSecond < 0 || math.IsNaN(l.SignalsPerSecond) || math.IsInf(l.SignalsPerSecond, 0):
		return fmt.Errorf("%v signals per second are no rate", l.SignalsPerSecond)
	case l.Burst < 0:
		return fmt.Errorf("a burst of %d lets nothing in", l.Burst)
	default:
		return nil
	}
}

// bucket returns a new one, nil where there is no limit.
func (l Rate) bucket() *bucket {
	if l.SignalsPerSecond == 0 {
		return nil
	}
	burst := l.Burst
	if burst == 0 {
		burst = int(min(math.Ceil(l.SignalsPerSecond), math.MaxInt32))
	}
	return &bucket{rate.NewLimiter(rate.Limit(l.SignalsPerSecond), burst)}
}

// bucket is a token bucket. A nil bucket has always enough.
type bucket struct{ limiter *rate.Limiter }

// wait returns how long it takes until n can be taken, which is no time at all
// where they can be now. More than the burst needs all of it, and no more.
func (b *bucket) wait(now time.Time, n int) time.Duration {
	if b == nil {
		return 0
	}
	lacks := float64(min(n, b.limiter.Burst())) - b.limiter.TokensAt(now)
	if lacks <= 0 {
		return 0
	}
	return time.Duration(lacks / float64(b.limiter.Limit()) * float64(time.Second))
}

// take takes n, and reports whether they were there.
func (b *bucket) take(now time.Time, n int) bool {
	return b == nil || b.limiter.AllowN(now, min(n, b.limiter.Burst()))
}

// clients are the buckets of a source's clients. Nil clients have no limits. They
// are safe for concurrent use.
type clients struct {
	Rate
	mu      sync.Mutex
	buckets *simplelru.LRU[netip.Prefix, *bucket]
}

func newClients(limit Rate, size int) (*clients, error) {
	if limit.SignalsPerSecond == 0 {
		return nil, nil
	}
	buckets, err := simplelru.NewLRU[netip.Prefix, *bucket](size, nil)
	return &clients{Rate: limit, buckets: buckets}, err
}

// of returns a client's bucket.
func (c *clients) of(addr netip.Addr) *bucket {
	if c == nil {
		return nil
	}
	network := networkOf(addr)
	c.mu.Lock()
	defer c.mu.Unlock()
	b, known := c.buckets.Get(network)
	if !known {
		b = c.bucket()
		c.buckets.Add(network, b)
	}
	return b
}

// networkOf returns what counts as one client: an IPv4 address, a /64 of IPv6, and
// all that have no address together.
func networkOf(addr netip.Addr) netip.Prefix {
	bits := addr.BitLen()
	if addr.Is6() {
		bits = clientBits
	}
	network, err := addr.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return network
}

// limits are what a request is held against: its source's bucket, and its
// client's where there is such a limit.
type limits struct {
	route  *route
	client *bucket
}

func (h *Handler) limits(r *http.Request, route *route) limits {
	l := limits{route: route}
	if route.clients != nil {
		l.client = route.clients.of(h.TrustedProxies.Client(remote(r), r.Header))
	}
	return l
}

// spent refuses a request before its body is read where not a single signal could
// be taken of it: what is refused has to cost as little as it can, since a sender
// that is over its limit costs the others what it makes the gateway do.
func (l *limits) spent() *refusal {
	if l.route.signals.Full() {
		return l.route.overloaded(LimitSignals)
	}
	return l.refusal(time.Now(), 1)
}

// take takes n signals from both buckets, or from none of them.
func (l *limits) take(n int) *refusal {
	now := time.Now()
	if no := l.refusal(now, n); no != nil {
		return no
	}
	// Who loses a race for the last of the source's has paid as a client, too.
	if l.client.take(now, n) && l.route.bucket.take(now, n) {
		return nil
	}
	if no := l.refusal(now, n); no != nil {
		return no
	}
	return l.tooMuch(LimitRate, time.Nanosecond)
}

func (l *limits) refusal(now time.Time, n int) *refusal {
	if wait := l.client.wait(now, n); wait > 0 {
		return l.tooMuch(LimitClient, wait)
	}
	if wait := l.route.bucket.wait(now, n); wait > 0 {
		return l.tooMuch(LimitRate, wait)
	}
	return nil
}

func (l *limits) tooMuch(limit string, wait time.Duration) *refusal {
	no := &refusal{status: http.StatusServiceUnavailable, retryAfter: wait, limit: limit, by: l.route}
	if l.route.RetriesOn429 {
		no.status = http.StatusTooManyRequests
	}
	no.detail = fmt.Sprintf("more than %g signals per second from this source", l.route.SignalsPerSecond)
	if limit == LimitClient {
		no.detail = fmt.Sprintf("more than %g signals per second from this client", l.route.PerClient.SignalsPerSecond)
	}
	return no
}

// enter finds a place for n signals among those in flight and within the rates,
// or refuses at once; nobody waits. A batch larger than a limit needs all of it,
// but is not refused for ever.
func (l *limits) enter(n int) (release func(), refused *refusal) {
	taken, ok := l.route.signals.TakeOrAlone(int64(n))
	if !ok {
		return nil, l.route.overloaded(LimitSignals)
	}
	if refused := l.take(n); refused != nil {
		l.route.signals.Give(taken)
		return nil, refused
	}
	return func() { l.route.signals.Give(taken) }, nil
}

func (r *route) overloaded(what string) *refusal {
	return &refusal{
		status: http.StatusServiceUnavailable, detail: "overloaded: too many " + what + " in flight from this source",
		retryAfter: retryOverload, limit: what, by: r,
	}
}

// complaints keeps a log from being flooded: of many of a kind it has one a
// second. It is safe for concurrent use.
type complaints struct {
	sometimes rate.Sometimes
	unsaid    atomic.Int64
}

func newComplaints() *complaints {
	return &complaints{sometimes: rate.Sometimes{Interval: complaintInterval}}
}

// next reports whether the next one is to be logged, and how many were not since.
func (c *complaints) next() (unsaid int64, say bool) {
	c.unsaid.Add(1)
	c.sometimes.Do(func() { unsaid, say = c.unsaid.Swap(0)-1, true })
	return unsaid, say
}

// complain reports whether a refusal is to be logged, with what is to be added.
// Those for a limit are not each.
func (h *Handler) complain(no *refusal) (add []slog.Attr, say bool) {
	if no.limit == "" {
		return nil, true
	}
	h.Observer.Limited(no.by.Name, no.limit)
	unsaid, say := no.by.complaints.next()
	return []slog.Attr{slog.String("source", no.by.Name), slog.String("limit", no.limit), slog.Int64("unlogged", unsaid)}, say
}
