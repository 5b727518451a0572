package audit

import (
	"context"
	"errors"
	"time"
)

const (
	// chunkBytes is about how much is written at once.
	chunkBytes = 256 << 10
	// syncEvery is what a crash of the machine loses; one of the process loses
	// only what waits.
	syncEvery = time.Second
	// checkpointEvery is how often the head is published while lines come.
	checkpointEvery = time.Minute
	// again is how long a disk that failed is left alone. Meanwhile lines wait, as
	// far as there is room for them.
	again = time.Second
	// closeTimeout is for how long in all the end waits for a disk.
	closeTimeout = 5 * time.Second
)

// errHangs means that a disk took longer than the end may take.
var errHangs = errors.New("audit: the disk does not answer, what is not on it is lost")

// Run writes until ctx ends, then what still waits and a line that says so, for
// no longer than 5 seconds. It is an error only when the disk hangs then: one
// that fails is logged, and tried again.
func (w *Writer) Run(ctx context.Context) error {
	done := make(chan error, 1)
	go func() { done <- newWorker(w).run(ctx) }()
	<-ctx.Done()
	patience := time.NewTimer(closeTimeout)
	defer patience.Stop()
	select {
	case err := <-done:
		return err
	case <-patience.C:
		w.queue.close()
		return errHangs
	}
}

// worker is what Run works with. It belongs to one goroutine.
type worker struct {
	w *Writer
	output
	// batch is what was taken from the queue. What is done of it, and which line
	// of the next item is, moves on only when it is written.
	batch, spare []item
	done         cursor
	// checkpoint is when the head is to be published, zero while there is no news.
	checkpoint time.Time
}

// cursor is a place in a batch.
type cursor struct{ item, line int }

func newWorker(w *Writer) *worker { return &worker{w: w, output: newOutput(w)} }

// run writes until ctx ends, and what waits then.
func (k *worker) run(ctx context.Context) error {
	k.begin()
	for ctx.Err() == nil {
		now := k.w.options.Now()
		switch {
		case now.Before(k.retry):
			k.rest(ctx, now)
		case k.checkpointDue(now):
			k.check(KindCheckpoint)
		case k.syncDue(now):
			k.sync()
		case k.waits():
			k.write()
		default:
			k.rest(ctx, now)
		}
	}
	return k.finish()
}

// begin puts the first line of this process before all others.
func (k *worker) begin() {
	at := k.w.options.Now()
	k.batch = append(k.batch, item{event: &event{at: at, kind: KindStart}})
}

// waits reports whether there is something to be written.
func (k *worker) waits() bool {
	if k.done.item < len(k.batch) {
		return true
	}
	k.batch, k.spare = k.w.queue.take(k.spare), k.batch
	k.done = cursor{}
	return len(k.batch) > 0
}

// write writes a chunk of what waits.
func (k *worker) write() {
	if !k.ready() {
		return
	}
	next := k.done
	for next == k.done || next.item < len(k.batch) && len(k.chain.text) < chunkBytes && !k.full() {
		i := &k.batch[next.item]
		k.line(i, next.line)
		if next.line++; next.line == i.lines() {
			next = cursor{next.item + 1, 0}
		}
	}
	if !k.commit() {
		return
	}
	k.w.queue.release(k.batch[k.done.item:next.item])
	k.done = next
	if k.checkpoint.IsZero() {
		k.checkpoint = k.w.options.Now().Add(checkpointEvery)
	}
}

// line makes a line of an item.
func (k *worker) line(i *item, n int) {
	switch {
	case i.event != nil && i.event.kind == KindStart:
		k.chain.start(i.event.at, &k.w.options, k.kept, k.w.found.torn)
	case i.event != nil:
		k.chain.event(i.event)
	case i.kept != nil:
		k.chain.decision(decided{
			at: i.kept.at, from: i.kept.from, source: i.kept.source, index: -1, name: i.kept.name, decision: &i.kept.decision,
		})
	case n == 0:
		k.chain.request(i.request)
	default:
		r, name := i.request, ""
		if n <= len(r.Names) {
			name = r.Names[n-1]
		}
		k.chain.decision(decided{at: r.At, requestID: r.ID, source: r.Source, index: n - 1, name: name, decision: &r.Decisions[n-1]})
	}
}

func (k *worker) checkpointDue(now time.Time) bool {
	return !k.checkpoint.IsZero() && !now.Before(k.checkpoint)
}

// check writes a line that says little, and publishes its sum where whoever can
// change the file can't.
func (k *worker) check(kind string) {
	if !k.ready() {
		return
	}
	k.chain.event(&event{at: k.w.options.Now(), kind: kind})
	if !k.commit() {
		return
	}
	k.sync()
	k.checkpoint = time.Time{}
	k.w.log.Info("audit head", "file", k.w.options.File, "kind", kind, "head", k.chain.String())
}

// rest waits until there is something to do.
func (k *worker) rest(ctx context.Context, now time.Time) {
	news := k.w.queue.news
	until := k.retry
	if now.Before(k.retry) {
		news = nil
	} else {
		until = earlier(k.checkpoint, k.due())
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

// earlier returns the earlier of two times that may be zero for none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// finish writes what waits, unless the disk fails, and the last line.
func (k *worker) finish() error {
	k.retry = time.Time{}
	for k.waits() && k.retry.IsZero() {
		k.write()
	}
	k.w.queue.close()
	for k.waits() && k.retry.IsZero() { // also what came while it was closed
		k.write()
	}
	if k.retry.IsZero() {
		k.check(KindStop)
	}
	lost := 0
	for ; k.waits(); k.done = (cursor{k.done.item + 1, 0}) {
		if i := &k.batch[k.done.item]; i.event == nil || i.event.kind != KindGap { // that is counted
			lost += i.lines() - k.done.line
		}
	}
	if lost > 0 {
		k.w.options.Observer.AuditDropped(lost, WhyDisk)
		k.w.log.Error("the audit log could not be written to its end", "lines", lost)
	}
	return errors.Join(k.close(), k.w.Close())
}
