package page

import (
	"math"
	"time"

	gateway "kubernaut.io/gateway"
)

const (
	// binLength is the time that one bar of a plot stands for, and bins how many
	// there are: a quarter of an hour.
	binLength = 5 * time.Second
	bins      = 180
	// latencyBuckets reach from latencyFirst on, each latencyFactor times as long
	// as the one before: to 25 s, beyond any request's timeout.
	latencyBuckets = 38
	latencyFactor  = 1.4
	latencyFirst   = 100 * time.Microsecond
)

// bin counts what happened in some seconds. The zero bin has counted nothing.
type bin struct {
	// number counts bins since 1970.
	number            int64
	outcomes          [len(gateway.Outcomes)]uint32
	requests, refused uint32
	latency           [latencyBuckets]uint32
}

// tally is what has been counted over a time.
type tally struct {
	requests, refused, signals uint64
	outcomes                   [len(gateway.Outcomes)]uint64
}

// lines are the last bins, each at its number modulo their count.
type lines [bins]bin

// bin returns the bin of a time. A time that is longer ago than the oldest bin
// gets one that nobody looks at.
func (l *lines) bin(at time.Time) *bin {
	number := binNumber(at)
	b := &l[number%bins]
	switch {
	case b.number > number:
		return new(bin)
	case b.number < number:
		*b = bin{number: number}
	}
	return b
}

func binNumber(at time.Time) int64 { return max(0, at.UnixNano()/int64(binLength)) }

// until returns the bins up to that of a time, the oldest first, empty ones for
// when nothing happened.
func (l *lines) until(at time.Time) []bin {
	last := binNumber(at)
	all := make([]bin, bins)
	for i := range all {
		number := last - bins + 1 + int64(i)
		all[i].number = number
		if b := &l[max(0, number)%bins]; b.number == number {
			all[i] = *b
		}
	}
	return all
}

// latencyBucket returns the bucket of a duration.
func latencyBucket(took time.Duration) int {
	if took <= latencyFirst {
		return 0
	}
	at := math.Ceil(math.Log(float64(took)/float64(latencyFirst)) / math.Log(latencyFactor))
	return min(int(at), latencyBuckets-1)
}

// latencyOf returns the longest duration of a bucket.
func latencyOf(bucket int) time.Duration {
	return time.Duration(float64(latencyFirst) * math.Pow(latencyFactor, float64(bucket)))
}

// quantile returns the duration that a share of what was counted did not exceed,
// to within a bucket; false where nothing was counted.
func quantile(counts *[latencyBuckets]uint32, share float64) (time.Duration, bool) {
	var all uint64
	for _, n := range counts {
		all += uint64(n)
	}
	if all == 0 {
		return 0, false
	}
	wanted := uint64(math.Ceil(share * float64(all)))
	var seen uint64
	for bucket, n := range counts {
		if seen += uint64(n); seen >= max(wanted, 1) {
			return latencyOf(bucket), true
		}
	}
	return latencyOf(latencyBuckets - 1), true
}

// minutes counts by minute, for a quarter of an hour.
type minutes struct {
	counts [15]uint64
	last   int64
}

func (m *minutes) add(at time.Time, n int) {
	m.advance(at)
	m.counts[m.last%int64(len(m.counts))] += uint64(n)
}

// sum returns what was counted in the quarter of an hour before a time.
func (m *minutes) sum(at time.Time) (all uint64) {
	m.advance(at)
	for _, n := range m.counts {
		all += n
	}
	return all
}

// advance forgets what is too long ago. Time does not go back.
func (m *minutes) advance(at time.Time) {
	minute := max(at.Unix()/60, m.last)
	for ; m.last < minute; m.last++ {
		if minute-m.last > int64(len(m.counts)) {
			m.last = minute - int64(len(m.counts))
		}
		m.counts[(m.last+1)%int64(len(m.counts))] = 0
	}
}
