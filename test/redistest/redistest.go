// Package redistest runs real Redis servers on loopback for tests and for
// programs that test: alone, as a cluster with its slots split, and under
// Sentinel. A server can be frozen, killed and started again on its address.
//
// The functions that return errors work without a testing.TB; those named Must
// fail the test instead and stop what they started when it ends. The servers are
// children that end with this process in any case, and leave nothing behind but
// what a killed process leaves in the temporary directory.
package redistest

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/rueidis"
)

// Options is how a server is started. The zero Options starts one without
// password, TLS and persistence on a free port.
type Options struct {
	// Password is of the default user; none asks for none.
	Password string
	// Users are further users as ACL rules without the word "user", for
	// instance "gateway on >secret ~gateway:* +@all".
	Users []string
	// TLS serves TLS alone, with a certificate of a new authority.
	TLS bool
	// Config are further lines of redis.conf, for instance "appendonly yes".
	Config []string

	sentinel bool
}

// Server is one redis-server. Its methods are not for concurrent use with each
// other, apart from Do and those that only tell something.
type Server struct {
	options Options
	dir     string
	port    int
	pki     *pki
	process *process // nil while nothing runs
}

// Start returns a server that answers. The caller must Close it.
func Start(ctx context.Context, o Options) (*Server, error) {
	return start(ctx, o, nil)
}

// MustStart is Start, with Close when the test ends.
func MustStart(tb testing.TB, o Options) *Server {
	tb.Helper()
	s, err := Start(tb.Context(), o)
	return must(tb, s, err)
}

type closer interface{ Close() error }

func must[C closer](tb testing.TB, c C, err error) C {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := c.Close(); err != nil {
			tb.Error(err)
		}
	})
	return c
}

// start starts a server, with what extra says for its port as further lines of
// its configuration.
func start(ctx context.Context, o Options, extra func(port int) []string) (s *Server, err error) {
	s = &Server{options: o}
	if s.dir, err = os.MkdirTemp("", "redis"); err != nil {
		return nil, fmt.Errorf("make data directory: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if o.TLS {
		if s.pki, err = newPKI(s.dir); err != nil {
			return nil, err
		}
	}
	for range portAttempts {
		if s.port, err = freePort(); err != nil {
			return nil, err
		}
		lines := s.config()
		if extra != nil {
			lines = append(lines, extra(s.port)...)
		}
		if err = s.write(lines); err != nil {
			return nil, err
		}
		err = s.Restart(ctx)
		if !errors.Is(err, errPortTaken) {
			return s, err
		}
	}
	return s, err
}

func (s *Server) config() []string {
	lines := []string{
		"bind 127.0.0.1",
		"dir " + s.dir,
		// The client's fork of a save would only take memory from the tests.
		`save ""`,
		"enable-debug-command local",
		"daemonize no",
	}
	if s.options.TLS {
		lines = append(lines, "port 0", "tls-port "+strconv.Itoa(s.port), "tls-auth-clients no",
			"tls-cert-file "+s.pki.certFile, "tls-key-file "+s.pki.keyFile, "tls-ca-cert-file "+s.pki.caFile)
	} else {
		lines = append(lines, "port "+strconv.Itoa(s.port))
	}
	if s.options.Password != "" {
		lines = append(lines, "requirepass "+s.options.Password, "masterauth "+s.options.Password)
	}
	for _, user := range s.options.Users {
		lines = append(lines, "user "+user)
	}
	return append(lines, s.options.Config...)
}

func (s *Server) configFile() string { return filepath.Join(s.dir, "redis.conf") }

func (s *Server) write(lines []string) error {
	if err := os.WriteFile(s.configFile(), []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		return fmt.Errorf("write redis.conf: %w", err)
	}
	return nil
}

// Restart starts the server where none runs, on the address that it had, and
// waits until it answers. What was not persisted is gone.
func (s *Server) Restart(ctx context.Context) error {
	if s.process != nil {
		return errors.New("redis-server runs already")
	}
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	args := []string{s.configFile()}
	if s.options.sentinel {
		args = append(args, "--sentinel")
	}
	p, err := startProcess(s.dir, args)
	if err != nil {
		return err
	}
	s.process = p
	if err := s.awaitAnswer(ctx); err != nil {
		return errors.Join(err, s.Kill())
	}
	return nil
}

// awaitAnswer waits until the server answers at all, if only that it is loading.
func (s *Server) awaitAnswer(ctx context.Context) error {
	return poll(ctx, "an answer of redis-server", func() error {
		if err := s.process.ended(); err != nil {
			return permanent{err}
		}
		_, err := s.Do(ctx, "PING")
		if _, answered := rueidis.IsRedisErr(err); answered {
			return nil
		}
		return err
	})
}

// Close stops the server and removes what it kept.
func (s *Server) Close() error {
	err := s.Kill()
	return errors.Join(err, os.RemoveAll(s.dir))
}

// Address returns the host:port of the server. It stays the same over restarts.
func (s *Server) Address() string { return address(s.port) }

// PID returns the process id of the server, 0 while there is none.
func (s *Server) PID() int {
	if s.process == nil {
		return 0
	}
	return s.process.cmd.Process.Pid
}

// Output returns the end of what the server printed since it was last started.
func (s *Server) Output() string {
	if s.process == nil {
		return ""
	}
	return s.process.output.String()
}

// TLS returns a client's configuration for a server with TLS, else nil.
func (s *Server) TLS() *tls.Config {
	if s.pki == nil {
		return nil
	}
	return s.pki.client()
}

// Do sends one command on a connection of its own, as the default user, and
// returns its answer. It is safe for concurrent use.
func (s *Server) Do(ctx context.Context, command ...string) (rueidis.RedisMessage, error) {
	client, err := rueidis.NewClient(rueidis.ClientOption{
		InitAddress: []string{s.Address()}, Password: s.options.Password, TLSConfig: s.TLS(),
		ForceSingleClient: true, DisableCache: true, DisableRetry: true, PipelineMultiplex: -1,
		ReadBufferEachConn: bufferSize, WriteBufferEachConn: bufferSize, RingScaleEachConn: ringScale,
	})
	if err != nil {
		return rueidis.RedisMessage{}, fmt.Errorf("dial redis-server: %w", err)
	}
	defer client.Close()
	return client.Do(ctx, client.B().Arbitrary(command...).Build()).ToMessage()
}

// MustDo is Do for tests.
func (s *Server) MustDo(tb testing.TB, command ...string) rueidis.RedisMessage {
	tb.Helper()
	answer, err := s.Do(tb.Context(), command...)
	if err != nil {
		tb.Fatalf("%s: %v", strings.Join(command, " "), err)
	}
	return answer
}

// Buffers of a connection that carries one command.
const (
	bufferSize = 4 << 10
	ringScale  = 2
)

// permanent is an error that waiting does not mend.
type permanent struct{ error }

// Unwrap returns the error itself.
func (p permanent) Unwrap() error { return p.error }

// poll waits until ok returns nil.
func poll(ctx context.Context, what string, ok func() error) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ok()
		if err == nil {
			return nil
		}
		if errors.As(err, new(permanent)) {
			return fmt.Errorf("wait for %s: %w", what, err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w", what, errors.Join(ctx.Err(), err))
		}
	}
}
