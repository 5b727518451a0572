package fleet

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

// readinessInterval is how often a Service asks its backends. The kubelet's
// probes are slower, and so is what spreads their outcome: shutdownDelay has to
// be longer than all that.
const readinessInterval = 50 * time.Millisecond

// Service gives TCP connections to the backends that are ready, in turn, as a
// Kubernetes Service does: what a connection was given to it stays with, ready or
// not. It is safe for concurrent use.
type Service struct {
	listener net.Listener
	stop     context.CancelFunc
	running  sync.WaitGroup

	mu       sync.Mutex
	backends []*backend
	next     int
}

type backend struct {
	address, admin string
	ready          bool
}

// NewService returns a Service without backends that serves on loopback.
func NewService() (*Service, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("service: %w", err)
	}
	ctx, stop := context.WithCancel(context.Background())
	s := &Service{listener: listener, stop: stop}
	s.running.Go(func() { s.watch(ctx) })
	s.running.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return // the listener was closed
			}
			go s.carry(client)
		}
	})
	return s, nil
}

// URL returns the base URL for senders.
func (s *Service) URL() string { return "http://" + s.listener.Addr().String() }

// Close ends the Service. Connections that it carries end with their ends.
func (s *Service) Close() error {
	s.stop()
	err := s.listener.Close()
	s.running.Wait()
	return err
}

// Add adds a gateway by the host:port of its webhooks and the URL of its admin
// port. It gets connections from when it says that it is ready.
func (s *Service) Add(address, admin string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.backends = append(s.backends, &backend{address: address, admin: admin})
}

// Remove forgets a gateway.
func (s *Service) Remove(address string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.backends = slices.DeleteFunc(s.backends, func(b *backend) bool { return b.address == address })
}

// Ready reports how many backends get connections.
func (s *Service) Ready() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, b := range s.backends {
		if b.ready {
			n++
		}
	}
	return n
}

// watch asks all backends whether they are ready, until ctx ends.
func (s *Service) watch(ctx context.Context) {
	tick := time.NewTicker(readinessInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		s.mu.Lock()
		all := slices.Clone(s.backends)
		s.mu.Unlock()
		for _, b := range all {
			ready := isReady(b.admin)
			s.mu.Lock()
			b.ready = ready
			s.mu.Unlock()
		}
	}
}

func isReady(admin string) bool {
	response, err := probe.Get(admin + "/readyz")
	if err != nil {
		return false
	}
	response.Body.Close()
	return response.StatusCode == http.StatusOK
}

// carry connects a client with a backend until one of them ends it.
func (s *Service) carry(client net.Conn) {
	defer client.Close()
	address, ok := s.pick()
	if !ok {
		return
	}
	server, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	defer server.Close()
	ended := make(chan struct{}, 2)
	for _, way := range [][2]net.Conn{{server, client}, {client, server}} {
		go func() {
			_, _ = io.Copy(way[0], way[1]) // either end may go at any time
			ended <- struct{}{}
		}()
	}
	<-ended
}

// pick returns the backend whose turn it is.
func (s *Service) pick() (address string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for range s.backends {
		s.next++
		if b := s.backends[s.next%len(s.backends)]; b.ready {
			return b.address, true
		}
	}
	return "", false
}
