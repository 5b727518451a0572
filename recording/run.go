package recording

import (
	"context"
	"errors"
	"time"
)

const (
	// slice is for how long entries are written at once. The pauses after it are
	// short then, and who serves requests on the same core does not notice.
	slice = 2 * time.Millisecond
	// flushEvery is what a crash loses.
	flushEvery = time.Second
	// drainTimeout is how long the end may write what waits, and closeTimeout for
	// how long in all it waits for a disk.
	drainTimeout = 3 * time.Second
	closeTimeout = 5 * time.Second
)

// errHangs means that a disk took longer than the end may take.
var errHangs = errors.New("recording: the disk does not answer, what is not on it is lost")

// Run writes until ctx ends, and then what still waits, for no longer than
// 5 seconds. It is an error only when the disk hangs then: one that fails is
// logged, and tried again.
func (w *Writer) Run(ctx context.Context) error {
	done := make(chan struct{})
	go func() {
		defer close(done)
		newWorker(w).run(ctx)
	}()
	<-ctx.Done()
	patience := time.NewTimer(closeTimeout)
	defer patience.Stop()
	select {
	case <-done:
		return nil
	case <-patience.C:
		w.queue.close()
		return errHangs
	}
}

// worker is what Run works with. It belongs to one goroutine.
type worker struct {
	files
	queue *queue
	// batch is what was taken from the queue, next the first of it that is not
	// done yet.
	batch, spare []item
	next         int
	// free is from when on the share lets it work.
	free time.Time
}

func newWorker(w *Writer) *worker { return &worker{files: newFiles(w), queue: &w.queue} }

// run writes until ctx ends, and what waits then.
func (k *worker) run(ctx context.Context) {
	for ctx.Err() == nil {
		began := k.w.options.Now()
		switch {
		case k.flushDue(began):
			k.flush()
		case k.waits() && !began.Before(k.free):
			k.write(began.Add(slice))
		default:
			k.rest(ctx, began)
			continue
		}
		k.pay(began)
	}
	k.finish()
}

// waits reports whether there is an entry to be written.
func (k *worker) waits() bool {
	if k.next < len(k.batch) {
		return true
	}
	k.batch, k.spare = k.queue.take(k.spare), k.batch
	k.next = 0
	return len(k.batch) > 0
}

// write writes what was taken, until a time.
func (k *worker) write(until time.Time) {
	for k.next < len(k.batch) {
		i := &k.batch[k.next]
		k.put(i)
		k.queue.release(i)
		k.next++
		if !k.w.options.Now().Before(until) {
			return
		}
	}
}

// pay has the time since began paid with a pause.
func (k *worker) pay(began time.Time) {
	now := k.w.options.Now()
	if k.free.Before(now) {
		k.free = now
	}
	worked := float64(now.Sub(began))
	k.free = k.free.Add(time.Duration(worked * (1 - k.w.options.Share) / k.w.options.Share))
}

// rest waits until there is something to do.
func (k *worker) rest(ctx context.Context, now time.Time) {
	news := k.queue.news
	var until time.Time
	if k.next < len(k.batch) {
		news, until = nil, k.free
	}
	if due := k.due(); !due.IsZero() && (until.IsZero() || due.Before(until)) {
		until = due
	}
	var timer <-chan time.Time
	if !until.IsZero() {
		timer = time.After(until.Sub(now))
	}
	select {
	case <-news:
	case <-timer:
	case <-ctx.Done():
	}
}

// finish writes what waits, as far as there is time, and closes the file.
func (k *worker) finish() {
	until := k.w.options.Now().Add(drainTimeout)
	for k.waits() && k.w.options.Now().Before(until) {
		k.write(until)
	}
	k.queue.close()
	for k.waits() { // also what came while it was closed
		i := &k.batch[k.next]
		switch {
		case i.dropped != nil:
			k.gaps.add(i.at, *i.dropped)
		case i.start == nil:
			k.lose(i.at, 1, i.size, WhyQueue)
		}
		k.queue.release(i)
		k.next++
	}
	k.close()
}
