package redistest

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Proxy passes connections on to a server, with a delay or not at all. It is
// safe for concurrent use.
type Proxy struct {
	target   string
	listener net.Listener
	delay    atomic.Int64

	mu     sync.Mutex
	cut    bool
	closed bool
	conns  map[net.Conn]struct{}
	wait   sync.WaitGroup
}

// StartProxy returns a proxy for the server at target, host:port. The caller
// must Close it.
func StartProxy(target string) (*Proxy, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", address(port))
	if err != nil {
		return nil, fmt.Errorf("start proxy: %w", err)
	}
	p := &Proxy{target: target, listener: listener, conns: make(map[net.Conn]struct{})}
	p.wait.Go(p.accept)
	return p, nil
}

// MustStartProxy is StartProxy, with Close when the test ends.
func MustStartProxy(tb testing.TB, target string) *Proxy {
	tb.Helper()
	p, err := StartProxy(target)
	return must(tb, p, err)
}

// Address returns the host:port that the proxy listens on.
func (p *Proxy) Address() string { return p.listener.Addr().String() }

// Delay has every answer of the server come so much later, from now on.
func (p *Proxy) Delay(d time.Duration) { p.delay.Store(int64(d)) }

// Cut ends all connections and refuses new ones until Mend.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = true
	for c := range p.conns {
		_ = c.Close()
	}
}

// Mend lets new connections through again.
func (p *Proxy) Mend() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = false
}

// Close ends the proxy with its connections.
func (p *Proxy) Close() error {
	err := p.listener.Close()
	p.mu.Lock()
	p.closed = true
	for c := range p.conns {
		_ = c.Close()
	}
	p.mu.Unlock()
	p.wait.Wait()
	return err
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil {
			p.wait.Go(func() { p.serve(client) })
		}
	}
}

// hold keeps a connection to be ended, unless it is to end at once.
func (p *Proxy) hold(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cut || p.closed {
		_ = c.Close()
		return false
	}
	p.conns[c] = struct{}{}
	return true
}

func (p *Proxy) drop(c net.Conn) {
	_ = c.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
}

func (p *Proxy) serve(client net.Conn) {
	if !p.hold(client) {
		return
	}
	defer p.drop(client)
	server, err := net.Dial("tcp", p.target)
	if err != nil || !p.hold(server) {
		return
	}
	defer p.drop(server)
	p.wait.Go(func() {
		_, _ = io.Copy(server, client)
		_ = server.Close()
	})
	p.answer(client, server)
}

// late is what a server said, and when it is to be heard.
type late struct {
	data []byte
	at   time.Time
}

// answer passes on what the server says, each piece as late as the delay was
// when it came. What is under way does not hold up what comes after it.
func (p *Proxy) answer(client, server net.Conn) {
	const pieces = 1024
	queue := make(chan late, pieces)
	p.wait.Go(func() {
		defer client.Close()
		for piece := range queue {
			time.Sleep(time.Until(piece.at))
			if _, err := client.Write(piece.data); err != nil {
				break
			}
		}
		for range queue { // let the reader go on to its end
		}
	})
	defer close(queue)
	buffer := make([]byte, 32<<10)
	for {
		n, err := server.Read(buffer)
		if n > 0 {
			at := time.Now().Add(time.Duration(p.delay.Load()))
			queue <- late{append([]byte(nil), buffer[:n]...), at}
		}
		if err != nil {
			return
		}
	}
}
