package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"kubernaut.io/gateway/ingress"
)

// server is an http.Server on its listener.
type server struct {
	*http.Server
	listener net.Listener
}

func listen(key, address string, handler http.Handler, requestTimeout time.Duration, logger *slog.Logger) (*server, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	return &server{Server: ingress.NewServer(address, handler, requestTimeout, logger), listener: l}, nil
}

// serve serves, over TLS where there is a configuration of it.
func (s *server) serve() error {
	begin := s.Serve
	if s.TLSConfig != nil {
		begin = func(l net.Listener) error { return s.ServeTLS(l, "", "") }
	}
	if err := begin(s.listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve %s: %w", s.Addr, err)
	}
	return nil
}

func (s *server) shutdown(ctx context.Context) error {
	if err := s.Shutdown(ctx); err != nil {
		return fmt.Errorf("shut down %s: requests were still in flight: %w", s.Addr, err)
	}
	return nil
}
