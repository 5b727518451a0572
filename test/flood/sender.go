package flood

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

// sender posts to one source at a steady pace over keep-alive connections,
// whatever the answers: a request is ready-made, of an answer it reads the status.
// A client of net/http would cost more than the gateway that it measures.
type sender struct {
	addr, source string
	// bodies are sent in turn, one each interval.
	bodies   [][]byte
	interval time.Duration
	// connections are enough to keep the pace.
	connections int
	// once ends with the last body, and does not begin anew.
	once bool
}

// sent is what became of a sender's requests.
type sent struct {
	// accepted counts the 2xx by body.
	accepted []atomic.Int64
	// requests are all that were answered, refused those with 503 and Retry-After.
	requests, refused atomic.Int64
	// signals are those of accepted bodies.
	signals int64
	// took are the times from when a request was due to its answer.
	took []time.Duration
	// lasted is from the first request to the last answer.
	lasted time.Duration
}

func (s *sent) all() (accepted int64) {
	for i := range s.accepted {
		accepted += s.accepted[i].Load()
	}
	return accepted
}

// run sends for a time. An error means that a request had no answer, or another
// than 2xx and 503.
func (s *sender) run(ctx context.Context, length time.Duration) (*sent, error) {
	result := &sent{accepted: make([]atomic.Int64, len(s.bodies))}
	group, ctx := errgroup.WithContext(ctx)
	took := make([][]time.Duration, s.connections)
	var next atomic.Int64
	requests := s.requests()
	begin := time.Now()
	for c := range s.connections {
		group.Go(func() error {
			conn, err := s.dial(ctx, requests)
			if err != nil {
				return err
			}
			defer conn.Close()
			for {
				i := int(next.Add(1) - 1)
				due := time.Duration(i) * s.interval
				if due >= length || s.once && i >= len(s.bodies) {
					return nil
				}
				if err := until(ctx, begin.Add(due)); err != nil {
					return err
				}
				if err := conn.exchange(result, i%len(s.bodies)); err != nil {
					return fmt.Errorf("%s, request %d: %w", s.source, i, err)
				}
				took[c] = append(took[c], time.Since(begin)-due)
			}
		})
	}
	err := group.Wait()
	result.lasted = time.Since(begin)
	for _, t := range took {
		result.took = append(result.took, t...)
	}
	return result, err
}

// until waits for a time that may be past.
func until(ctx context.Context, at time.Time) error {
	wait := time.Until(at)
	if wait <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// connection is one of a sender's.
type connection struct {
	net.Conn
	from     *bufio.Reader
	requests [][]byte
	stop     func() bool
}

// requests returns the whole requests of the bodies, of each body once.
func (s *sender) requests() [][]byte {
	whole := make(map[*byte][]byte)
	requests := make([][]byte, len(s.bodies))
	for i, body := range s.bodies {
		request, made := whole[&body[0]]
		if !made {
			request = append(header(s.addr, s.source, len(body)), body...)
			whole[&body[0]] = request
		}
		requests[i] = request
	}
	return requests
}

func (s *sender) dial(ctx context.Context, requests [][]byte) (*connection, error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", s.addr)
	if err != nil {
		return nil, err
	}
	c := &connection{Conn: conn, from: bufio.NewReaderSize(conn, 64<<10), requests: requests}
	c.stop = context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Now()) })
	return c, nil
}

// header is what a request has before its body.
func header(addr, source string, length int) []byte {
	return fmt.Appendf(nil, "POST /webhook/%s HTTP/1.1\r\nHost: %s\r\nUser-Agent: Alertmanager/0.34.2\r\n"+
		"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n", source, addr, length)
}

// Close ends the connection.
func (c *connection) Close() error {
	c.stop()
	return c.Conn.Close()
}

// exchange sends a body and notes what became of it.
func (c *connection) exchange(result *sent, body int) error {
	if _, err := c.Write(c.requests[body]); err != nil {
		return err
	}
	status, retryAfter, err := answer(c.from)
	switch {
	case err != nil:
		return err
	case status/100 == 2:
		result.accepted[body].Add(1)
	case status == 503 && retryAfter != "":
		result.refused.Add(1)
	default:
		return fmt.Errorf("%w %d, Retry-After %q", errAnswer, status, retryAfter)
	}
	result.requests.Add(1)
	return nil
}

// errAnswer means that an answer is none that a sender of this format may get.
var errAnswer = errors.New("answered")

// answer reads one response.
func answer(from *bufio.Reader) (status int, retryAfter string, err error) {
	line, err := from.ReadSlice('\n')
	if err != nil {
		return 0, "", err
	}
	if len(line) < 12 {
		return 0, "", errors.New("not an HTTP response")
	}
	if status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return 0, "", fmt.Errorf("not an HTTP response: %w", err)
	}
	length := 0
	for len(line) > 2 {
		if line, err = from.ReadSlice('\n'); err != nil {
			return 0, "", err
		}
		name, value, _ := bytes.Cut(bytes.TrimSpace(line), []byte(": "))
		switch string(name) {
		case "Content-Length":
			if length, err = strconv.Atoi(string(value)); err != nil {
				return 0, "", err
			}
		case "Retry-After":
			retryAfter = string(value)
		}
	}
	_, err = from.Discard(length)
	return status, retryAfter, err
}
