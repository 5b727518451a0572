package redisledger

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/redis/rueidis"

	gateway "kubernaut.io/gateway"
)

const (
	// budgetKept is how long the places are kept after the last booking. A
	// replica that finds a new mark within that time knows that they were lost.
	budgetKept = 24 * time.Hour
	// unsure is for how long nothing is booked after places may have been lost:
	// within it what was created for them shows in the cluster.
	unsure = 10 * time.Second
	// maxReleased bounds the places that wait to be given back. One that is not
	// given back is free after gateway.BookingLife.
	maxReleased = 10_000
)

// Errors of Book.
var (
	errBudgetAway = errors.New("redis: away, so that nobody can tell what other replicas have booked")
	errBudgetLost = errors.New("redis: it was away or lost its data a moment ago, and with it perhaps what others have booked")
)

// budget is what a replica knows of the budget's places in Redis.
type budget struct {
	mu sync.Mutex
	// mark is that of the places, as of used.
	mark string
	used time.Time
	// until is until when nothing is booked.
	until    time.Time
	released []gateway.Holding
	// sending is held while places are given back, and shared by those who book:
	// one that is booked again meanwhile is not given back.
	sending sync.RWMutex
}

// recall takes from the places that wait to be given back those which a booking
// is about: its own, which stays, and others of its owner, which are to be given
// back before.
func (b *budget) recall(booking *gateway.Booking) (others []gateway.Holding) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.released = slices.DeleteFunc(b.released, func(h gateway.Holding) bool {
		own := h.ID == booking.ID
		if !own && h.Owner == booking.Owner && h.Owner != "" {
			others = append(others, h)
			return true
		}
		return own
	})
	return others
}

// doubt keeps everybody from booking for a while: places may have been lost.
func (b *budget) doubt(now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.until = now.Add(unsure)
}

func (b *budget) doubtful(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return now.Before(b.until)
}

// same reports whether the places are those that this replica has known, and
// begins to doubt where they are not.
func (b *budget) same(mark string, now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	lost := b.mark != "" && b.mark != mark && now.Sub(b.used) < budgetKept-time.Hour
	b.mark, b.used = mark, now
	if lost {
		b.until = now.Add(unsure)
	}
	return !lost
}

// Book gives out a place in the budget that all replicas share, or returns the
// scope that has no room. It fails while Redis is away and shortly after.
func (l *Ledger) Book(ctx context.Context, b *gateway.Booking) (full gateway.Scope, err error) {
	if l.budget.doubtful(l.now()) {
		return "", errBudgetLost
	}
	l.budget.sending.RLock()
	defer l.budget.sending.RUnlock()
	asked := l.ask(ctx, l.observer.Recorded, func(ctx context.Context, client rueidis.Client) (err error) {
		if others := l.budget.recall(b); len(others) > 0 {
			if err := l.free(ctx, client, others); err != nil {
				return err
			}
		}
		full, err = l.book(ctx, client, b)
		if errors.Is(err, errBudgetLost) {
			return nil // Redis is well, and the doubt is noted
		}
		return err
	})
	switch {
	case !asked:
		return "", errBudgetAway
	case l.budget.doubtful(l.now()):
		return "", errBudgetLost
	default:
		return full, nil
	}
}

// book asks for the owner's place and then for that in the cluster: two keys, so
// that a cluster of Redis may keep them apart.
func (l *Ledger) book(ctx context.Context, client rueidis.Client, b *gateway.Booking) (gateway.Scope, error) {
	owned := b.Owner != "" && b.Limits.Owner > 0
	if owned {
		var seen []string
		for _, id := range b.OwnerIDs() {
			seen = append(seen, id, "")
		}
		verdict, _, err := l.place(ctx, client, l.keys.owner(b.Owner), b, 0, b.Limits.Owner, seen)
		if err != nil || verdict != 0 {
			return gateway.ScopeOwner, err
		}
	}
	if b.Joins {
		return "", nil
	}
	verdict, mark, err := l.place(ctx, client, l.keys.places(), b, b.Limits.Namespace, b.Limits.Cluster, seenOf(b))
	if err != nil {
		return "", err
	}
	if !l.budget.same(mark, l.now()) {
		return "", errBudgetLost
	}
	if verdict != 0 && owned {
		// Not by Release: the next booking of the owner may be this one again.
		if err := l.free(ctx, client, []gateway.Holding{b.Holding}); err != nil {
			return "", err
		}
	}
	switch verdict {
	case 1:
		return gateway.ScopeNamespace, nil
	case 2:
		return gateway.ScopeCluster, nil
	default:
		return "", nil
	}
}

// seenOf returns the places that count for b's limits, as book.lua takes them.
func seenOf(b *gateway.Booking) []string {
	var seen []string
	for _, h := range b.Held {
		if b.Limits.Cluster > 0 || h.Namespace == b.Namespace {
			seen = append(seen, h.ID, h.Namespace)
		}
	}
	return seen
}

// place runs book.lua on one key.
func (l *Ledger) place(ctx context.Context, client rueidis.Client, key string, b *gateway.Booking, near, all int, seen []string) (verdict int64, mark string, err error) {
	args := append([]string{
		strconv.FormatInt(b.At.UnixMilli(), 10), millis(gateway.BookingLife), b.ID, b.Namespace,
		strconv.Itoa(near), strconv.Itoa(all), rand.Text(), millis(budgetKept),
	}, seen...)
	answer, err := bookScript.run(ctx, client, call{key, args})[0].ToArray()
	if err != nil {
		return 0, "", err
	}
	if len(answer) != 2 {
		return 0, "", fmt.Errorf("%w: %d values for 2", errBadAnswer, len(answer))
	}
	if verdict, err = answer[0].AsInt64(); err == nil {
		mark, err = answer[1].ToString()
	}
	if err != nil {
		return 0, "", fmt.Errorf("%w: %w", errBadAnswer, err)
	}
	return verdict, mark, nil
}

// Release gives back places when Run next sends what is noted.
func (l *Ledger) Release(held []gateway.Holding) {
	l.budget.mu.Lock()
	defer l.budget.mu.Unlock()
	if room := maxReleased - len(l.budget.released); room < len(held) {
		held = held[:max(0, room)]
	}
	l.budget.released = append(l.budget.released, held...)
}

// giveBack sends what is to be released. What can't be sent is free in a while.
func (l *Ledger) giveBack(ctx context.Context) {
	l.budget.mu.Lock()
	waiting := len(l.budget.released) > 0
	l.budget.mu.Unlock()
	if !waiting {
		return
	}
	l.budget.sending.Lock()
	defer l.budget.sending.Unlock()
	l.budget.mu.Lock()
	held := l.budget.released
	l.budget.released = nil
	l.budget.mu.Unlock()
	for len(held) > 0 {
		some := held[:min(len(held), chunk)]
		held = held[len(some):]
		l.ask(ctx, l.observer.Recorded, func(ctx context.Context, client rueidis.Client) error {
			return l.free(ctx, client, some)
		})
	}
}

// free takes places out.
func (l *Ledger) free(ctx context.Context, client rueidis.Client, held []gateway.Holding) error {
	commands := make(rueidis.Commands, 0, 2*len(held))
	for _, h := range held {
		commands = append(commands, client.B().Hdel().Key(l.keys.places()).Field(h.ID).Build())
		if h.Owner != "" {
			commands = append(commands, client.B().Hdel().Key(l.keys.owner(h.Owner)).Field(h.ID).Build())
		}
	}
	var errs []error
	for _, result := range client.DoMulti(ctx, commands...) {
		errs = append(errs, result.Error())
	}
	return errors.Join(errs...)
}

// places is the hash of all places of the budget.
func (k keys) places() string { return k.prefix + schema + "b:{all}" }

// owner is the hash of a workload's places. Senders choose names, so that the
// key holds a hash of them.
func (k keys) owner(owner string) string {
	sum := sha256.Sum256([]byte(owner))
	return k.prefix + schema + "b:{" + hex.EncodeToString(sum[:16]) + "}"
}
