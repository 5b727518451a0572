package bench

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// load posts bodies over keep-alive connections, as wrk does: a request is
// written as it is, of an answer only the status and the length are read. A
// client of net/http would cost more than the servers that it measures.
type load struct {
	addr        string
	connections int
	// next returns the next body, or nil at the end. It is called from all
	// connections at once.
	next func() []byte
	// want is the status that every answer must have; 0 stands for any 2xx.
	want int
}

// errAnswered means that an answer had another status than it must have.
var errAnswered = errors.New("answered")

// run posts until next has no more, and returns how many were answered a second.
func (l load) run(ctx context.Context) (perSecond float64, err error) {
	var done atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	begin := time.Now()
	for range l.connections {
		group.Go(func() error {
			n, err := l.post(ctx)
			done.Add(n)
			return err
		})
	}
	err = group.Wait()
	return float64(done.Load()) / time.Since(begin).Seconds(), err
}

// until returns a source of one body that ends after a time.
func until(d time.Duration, body []byte) func() []byte {
	end := time.Now().Add(d)
	return func() []byte {
		if time.Now().After(end) {
			return nil
		}
		return body
	}
}

// times returns a source of one body that ends after n of it.
func times(n int, body []byte) func() []byte {
	var given atomic.Int64
	return func() []byte {
		if given.Add(1) > int64(n) {
			return nil
		}
		return body
	}
}

// once returns a source that gives each of bodies once.
func once(bodies [][]byte) func() []byte {
	var next atomic.Int64
	return func() []byte {
		if i := int(next.Add(1)) - 1; i < len(bodies) {
			return bodies[i]
		}
		return nil
	}
}

func (l load) post(ctx context.Context) (answered int64, err error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", l.addr)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Now()) })
	defer stop()
	from := bufio.NewReaderSize(conn, 64<<10)
	var request []byte
	for body := l.next(); body != nil; body = l.next() {
		request = fmt.Appendf(request[:0], "POST /webhook/prometheus HTTP/1.1\r\nHost: %s\r\nUser-Agent: Alertmanager/0.34.2\r\n"+
			"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n", l.addr, len(body))
		request = append(request, body...)
		if _, err := conn.Write(request); err != nil {
			return answered, err
		}
		status, err := answer(from)
		if err != nil {
			return answered, err
		}
		if status != l.want && (l.want != 0 || status/100 != 2) {
			return answered, fmt.Errorf("%w %d, want %d", errAnswered, status, l.want)
		}
		answered++
	}
	return answered, nil
}

var contentLength = []byte("Content-Length: ")

// answer reads one response and returns its status.
func answer(from *bufio.Reader) (status int, err error) {
	line, err := from.ReadSlice('\n')
	if err != nil {
		return 0, err
	}
	if len(line) < 12 {
		return 0, errors.New("not an HTTP response")
	}
	if status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return 0, fmt.Errorf("not an HTTP response: %w", err)
	}
	length := -1
	for len(line) > 2 {
		if line, err = from.ReadSlice('\n'); err != nil {
			return 0, err
		}
		if value, ok := bytes.CutPrefix(line, contentLength); ok {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return 0, err
			}
		}
	}
	if length < 0 {
		return 0, errors.New("a response of unknown length")
	}
	_, err = from.Discard(length)
	return status, err
}
