package auth

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/semaphore"
	"golang.org/x/sync/singleflight"
	"k8s.io/apimachinery/pkg/util/cache"
)

const (
	// maxVerdicts bounds how many verdicts of each sort are remembered.
	maxVerdicts = 1024
	// deniedFor is for how long a refusal is remembered.
	deniedFor = 10 * time.Second
	// knownFor is for how long it is remembered that credentials were good once.
	knownFor = time.Hour
	// checkTimeout bounds one check, the wait for its turn included. It lies below
	// the time that a sender waits for its answer.
	checkTimeout = 5 * time.Second
)

// Slots bounds the checks under way at once. Credentials that were good before
// never wait behind those that nobody knows, so that who tries out passwords
// keeps nobody else out. It is safe for concurrent use.
type Slots struct {
	known, fresh *semaphore.Weighted
}

// NewSlots lets n checks go on at once of each of the two.
func NewSlots(n int) *Slots {
	return &Slots{known: semaphore.NewWeighted(int64(n)), fresh: semaphore.NewWeighted(int64(n))}
}

// errBusy means that a check did not get its turn in time.
var errBusy = errors.New("too many credentials are being checked")

func (s *Slots) acquire(ctx context.Context, known bool) (release func(), err error) {
	slot := s.fresh
	if known {
		slot = s.known
	}
	if slot.Acquire(ctx, 1) != nil {
		return nil, errBusy
	}
	return func() { slot.Release(1) }, nil
}

// digest identifies credentials in memory, and tells nothing of them.
type digest [sha256.Size]byte

// verdict is how a check ended: whom the credentials stand for, or why they are no
// good.
type verdict struct {
	who    string
	failed *failure
}

// worker remembers what checks came to that take long. Good verdicts and
// refusals are remembered apart, so that the latter never displace the former.
type worker struct {
	slots   *Slots
	flights singleflight.Group
	// salt keeps what is in memory from being compared with what is known
	// elsewhere.
	salt [sha256.Size]byte

	good, denied, known *cache.LRUExpireCache
}

func newWorker(slots *Slots) *worker {
	w := &worker{
		slots: slots, good: cache.NewLRUExpireCache(maxVerdicts), denied: cache.NewLRUExpireCache(maxVerdicts),
		known: cache.NewLRUExpireCache(maxVerdicts),
	}
	// It never fails; the process would end.
	_, _ = rand.Read(w.salt[:])
	return w
}

// digest returns what stands for some texts together.
func (w *worker) digest(texts ...string) digest {
	mac := hmac.New(sha256.New, w.salt[:])
	for _, text := range texts {
		var size [8]byte
		binary.BigEndian.PutUint64(size[:], uint64(len(text)))
		mac.Write(size[:])
		mac.Write([]byte(text))
	}
	var d digest
	mac.Sum(d[:0])
	return d
}

// check returns what is remembered of key, or what run comes to, which is called
// once for all that ask at the same time, and goes on without those that gave
// up. Run returns for how long a good verdict may be remembered; that something
// can't be told now is not.
func (w *worker) check(ctx context.Context, key digest, run func(context.Context) (verdict, time.Duration)) verdict {
	if v, ok := w.good.Get(key); ok {
		return v.(verdict)
	}
	if v, ok := w.denied.Get(key); ok {
		return v.(verdict)
	}
	flight := w.flights.DoChan(string(key[:]), func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), checkTimeout)
		defer cancel()
		return w.run(ctx, key, run), nil
	})
	select {
	case result := <-flight:
		return result.Val.(verdict)
	case <-ctx.Done():
		return verdict{failed: &failure{reason: Unavailable, cause: context.Cause(ctx)}}
	}
}

func (w *worker) run(ctx context.Context, key digest, run func(context.Context) (verdict, time.Duration)) verdict {
	_, known := w.known.Get(key)
	release, err := w.slots.acquire(ctx, known)
	if err != nil {
		return verdict{failed: &failure{reason: Unavailable, cause: err}}
	}
	defer release()
	v, keep := contained(ctx, run)
	switch {
	case v.failed == nil:
		w.good.Add(key, v, keep)
		w.known.Add(key, verdict{}, knownFor)
	case v.failed.reason != Unavailable:
		w.known.Remove(key)
		w.denied.Add(key, v, deniedFor)
	}
	return v
}

// contained calls run, and takes a panic for that it can't be told: it would end
// the process, since singleflight's goroutine is nobody's request.
func contained(ctx context.Context, run func(context.Context) (verdict, time.Duration)) (v verdict, keep time.Duration) {
	defer func() {
		if p := recover(); p != nil {
			v, keep = verdict{failed: &failure{reason: Unavailable, cause: fmt.Errorf("panic: %v", p)}}, 0
		}
	}()
	return run(ctx)
}
