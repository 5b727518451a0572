package ingress

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"kubernaut.io/gateway/ingress/fair"
)

const (
	// bodyHint is where reading begins, however long the sender says that the
	// body is: what it only announces must keep no other sender out.
	bodyHint = 16 << 10
	// maxPooledBytes is the largest buffer that is kept for the next request,
	// some three hundred alerts. A few large bodies must not stay for ever.
	maxPooledBytes = 256 << 10
)

// buffer is memory for one body or one answer.
type buffer struct{ bytes []byte }

type bufferPool struct{ pool sync.Pool }

var buffers bufferPool

// get returns an empty buffer with room for size bytes or more.
func (p *bufferPool) get(size int) *buffer {
	b, ok := p.pool.Get().(*buffer)
	if !ok {
		b = &buffer{}
	}
	b.bytes = slices.Grow(b.bytes[:0], size)
	return b
}

func (p *bufferPool) put(b *buffer) {
	if cap(b.bytes) <= maxPooledBytes {
		p.pool.Put(b)
	}
}

const (
	// maxExcessBytes is how much of a body beyond the limit is read and thrown
	// away, and excessTimeout for how long.
	maxExcessBytes = 1 << 20
	excessTimeout  = 2 * time.Second
)

// body is a request's body, how many bytes in flight it holds, and how many it
// may come to hold.
type body struct {
	*buffer
	held, most int64
}

// receive reads the body whole, and checks what credentials depend on it.
func (h *Handler) receive(w http.ResponseWriter, r *http.Request, route *route, check BodyCheck) (body, *refusal) {
	b, refused := h.read(w, r, route)
	if refused != nil || check == nil {
		return b, refused
	}
	if refused := denial(check(b.bytes), route.Authenticate); refused != nil {
		route.bytes.Give(b.held)
		buffers.put(b.buffer)
		return body{}, refused
	}
	return b, nil
}

// read reads the body whole. What the sender announces is refused before it is
// read where it is too much, and is held as it comes: who announces much and
// sends little would hold all that may be in flight at no cost.
func (h *Handler) read(w http.ResponseWriter, r *http.Request, route *route) (body, *refusal) {
	if r.ContentLength > h.MaxBodyBytes {
		h.drainExcess(w, r)
		return body{}, h.tooLarge()
	}
	most := r.ContentLength
	if most < 0 {
		most = h.MaxBodyBytes
	}
	hint := min(bodyHint, most)
	if !route.bytes.Take(hint) {
		return body{}, route.overloaded(LimitBytes)
	}
	// One byte more lets the last read see the end without growing.
	b := body{buffer: buffers.get(int(hint) + 1), held: hint, most: most}
	if refused := h.fill(&b, route, http.MaxBytesReader(w, r.Body, h.MaxBodyBytes)); refused != nil {
		route.bytes.Give(b.held)
		return body{}, refused
	}
	return b, nil
}

// drainExcess throws away a body that is too large, since a sender that writes
// all before it reads would see a broken connection in place of the answer. One
// that asked first is told at once. An error means that the sender has gone.
func (h *Handler) drainExcess(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Expect") != "" {
		return
	}
	if err := http.NewResponseController(w).SetReadDeadline(time.Now().Add(excessTimeout)); err == nil {
		_, _ = io.CopyN(io.Discard, r.Body, h.MaxBodyBytes+maxExcessBytes)
	}
}

func (h *Handler) fill(b *body, route *route, from io.Reader) *refusal {
	for {
		free := b.bytes[len(b.bytes):min(int64(cap(b.bytes)), b.held+1)]
		n, err := from.Read(free)
		b.bytes = b.bytes[:len(b.bytes)+n]
		var tooLarge *http.MaxBytesError
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.As(err, &tooLarge):
			return h.tooLarge()
		case err != nil:
			// Whatever cut it off, the sender has the whole of it.
			return &refusal{
				status: http.StatusServiceUnavailable, detail: "the body could not be read to its end",
				cause: err, retryAfter: retryOverload,
			}
		}
		if int64(len(b.bytes)) > b.held && !h.grow(b, route.bytes) {
			return route.overloaded(LimitBytes)
		}
	}
}

// grow doubles what b holds, up to all that there is to come.
func (h *Handler) grow(b *body, holding *fair.Account) bool {
	more := min(b.held, b.most-b.held)
	if !holding.Take(more) {
		return false
	}
	b.held += more
	b.bytes = slices.Grow(b.bytes, int(b.held)+1-len(b.bytes))
	return true
}

func (h *Handler) tooLarge() *refusal {
	return &refusal{
		status: http.StatusRequestEntityTooLarge,
		detail: fmt.Sprintf("the body is larger than %d bytes", h.MaxBodyBytes),
	}
}
