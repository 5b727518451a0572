package fleet

import (
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"time"
)

// Weather is what a link does to what goes over it.
type Weather int

// The weathers of a link.
const (
	// Fair lets everything pass.
	Fair Weather = iota
	// Refuse ends all connections, and nothing listens for new ones.
	Refuse
	// Reset ends all connections, and new ones as soon as they are made.
	Reset
	// Blackhole keeps all connections and takes new ones, and nothing arrives.
	Blackhole
	// HalfOpen lets arrive what the client sends, and nothing of the answers.
	HalfOpen
	// Slow has everything arrive Lag later.
	Slow
)

// Lag is how much later things arrive over a slow link.
const Lag = 2 * time.Second

// Weathers are all bad ones.
var Weathers = []Weather{Refuse, Reset, Blackhole, HalfOpen, Slow}

// String returns the weather's name.
func (w Weather) String() string {
	return [...]string{"fair", "refuse", "reset", "blackhole", "half-open", "slow"}[w]
}

// Link carries TCP connections from an address of its own to a server's. What it
// held back arrives when the weather gets better, as it would from a network. It
// is safe for concurrent use.
type Link struct {
	address, to string

	mu       sync.Mutex
	weather  Weather
	changed  chan struct{} // closed when the weather changes
	listener net.Listener  // nil while connections are refused
	conns    map[net.Conn]struct{}
	closed   bool
	running  sync.WaitGroup
}

// NewLink returns a link that listens on address and leads to another one.
func NewLink(address, to string) (*Link, error) {
	l := &Link{address: address, to: to, changed: make(chan struct{}), conns: make(map[net.Conn]struct{})}
	return l, l.listen()
}

// Address returns the host:port that clients connect to.
func (l *Link) Address() string { return l.address }

// listen is called under the lock, or before anybody else knows l.
func (l *Link) listen() error {
	listener, err := net.Listen("tcp", l.address)
	if err != nil {
		return fmt.Errorf("link to %s: %w", l.to, err)
	}
	l.address, l.listener = listener.Addr().String(), listener
	l.running.Go(func() { l.accept(listener) })
	return nil
}

// Set changes the weather.
func (l *Link) Set(w Weather) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return net.ErrClosed
	}
	l.weather = w
	close(l.changed)
	l.changed = make(chan struct{})
	if w == Refuse || w == Reset {
		l.cut()
	}
	switch {
	case w == Refuse && l.listener != nil:
		err := l.listener.Close()
		l.listener = nil
		return err
	case w != Refuse && l.listener == nil:
		return l.listen()
	}
	return nil
}

// Weather returns the weather.
func (l *Link) Weather() Weather {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.weather
}

// cut resets all connections. It is called under the lock.
func (l *Link) cut() {
	for c := range l.conns {
		reset(c)
	}
	clear(l.conns)
}

// reset ends a connection with RST where it can. Its other end is told by that.
func reset(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.Close()
}

// Close ends the link and all that goes over it.
func (l *Link) Close() error {
	l.mu.Lock()
	l.closed = true
	var err error
	if l.listener != nil {
		err = l.listener.Close()
		l.listener = nil
	}
	close(l.changed)
	l.changed = make(chan struct{})
	l.cut()
	l.mu.Unlock()
	l.running.Wait()
	return err
}

func (l *Link) accept(listener net.Listener) {
	for {
		client, err := listener.Accept()
		if err != nil {
			return // the listener was closed
		}
		l.running.Go(func() { l.carry(client) })
	}
}

// carry connects a client with the server until one of them ends it.
func (l *Link) carry(client net.Conn) {
	if !l.keep(client) {
		return
	}
	defer l.drop(client)
	if !l.wait(client, Fair, Slow, HalfOpen) {
		return
	}
	server, err := net.DialTimeout("tcp", l.to, startLimit)
	if err != nil || !l.keep(server) {
		return
	}
	defer l.drop(server)
	var both sync.WaitGroup
	both.Go(func() { l.pump(server, client, Fair, Slow, HalfOpen) })
	both.Go(func() { l.pump(client, server, Fair, Slow) })
	both.Wait()
}

// keep adds a connection to those that are cut, or resets it at once.
func (l *Link) keep(c net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || l.weather == Refuse || l.weather == Reset {
		reset(c)
		return false
	}
	l.conns[c] = struct{}{}
	return true
}

func (l *Link) drop(c net.Conn) {
	l.mu.Lock()
	delete(l.conns, c)
	l.mu.Unlock()
	reset(c)
}

// pump copies in one direction, and ends both when it is at its end.
func (l *Link) pump(to, from net.Conn, passes ...Weather) {
	defer func() {
		// What was written still arrives, as after a close without RST.
		_ = to.Close()
		_ = from.Close()
	}()
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if !l.wait(from, passes...) {
			return
		}
		if l.Weather() == Slow {
			<-time.After(Lag)
		}
		if _, writeErr := to.Write(buffer[:n]); writeErr != nil {
			return
		}
		if err != nil {
			if !errors.Is(err, io.EOF) {
				reset(to)
			}
			return
		}
	}
}

// wait waits for a weather in which things pass, and reports whether it came
// before the connection was cut.
func (l *Link) wait(c net.Conn, passes ...Weather) bool {
	for {
		l.mu.Lock()
		weather, changed := l.weather, l.changed
		_, kept := l.conns[c]
		l.mu.Unlock()
		if !kept {
			return false
		}
		if slices.Contains(passes, weather) {
			return true
		}
		<-changed
	}
}
