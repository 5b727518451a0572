package redisledger

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"
)

const (
	// dialTimeout bounds connecting, greeting included, with room for a TLS
	// handshake on a busy machine. Nobody waits for it.
	dialTimeout = time.Second
	// silence is how long a connection may say nothing to a ping.
	silence = time.Second
	// watch is how often Sentinels are asked for the master, beside what they
	// tell by themselves.
	watch = 5 * time.Second
	// redirects bounds how often a cluster may send a call on.
	redirects = 5
	// ringScale sets how many calls a connection queues: a thousand, several
	// times what is let in at once.
	ringScale = 10
	// buffer is of a connection, in each direction, in bytes. It holds a flush.
	buffer = 64 << 10
)

// clientName is how Redis lists our connections.
const clientName = "kubernaut-gateway"

// dial connects to Redis. It returns when ctx ends, and then closes what it
// still gets.
func (l *Ledger) dial(ctx context.Context) (rueidis.Client, error) {
	type outcome struct {
		client rueidis.Client
		err    error
	}
	done := make(chan outcome)
	go func() {
		client, err := l.connect()
		select {
		case done <- outcome{client, err}:
		case <-ctx.Done():
			if err == nil {
				client.Close()
			}
		}
	}()
	select {
	case o := <-done:
		return o.client, o.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (l *Ledger) connect() (rueidis.Client, error) {
	password, err := secret(l.options.Password)
	if err != nil {
		return nil, err
	}
	sentinelPassword, err := secret(l.options.SentinelPassword)
	if err != nil {
		return nil, err
	}
	dialer := net.Dialer{Timeout: dialTimeout}
	return rueidis.NewClient(rueidis.ClientOption{
		InitAddress: slices.Clone(l.options.Addresses), ShuffleInit: true,
		Username: l.options.Username, Password: password, ClientName: clientName,
		TLSConfig: l.options.TLS, Dialer: dialer, DialCtxFn: l.connections.dial,
		Sentinel: rueidis.SentinelOption{
			MasterSet: l.options.MasterName, TopologyRefreshInterval: watch,
			Username: l.options.SentinelUsername, Password: sentinelPassword, ClientName: clientName,
			TLSConfig: l.options.TLS, Dialer: dialer,
		},
		ClusterOption: rueidis.ClusterOption{MaxMovedRedirections: redirects},
		// One connection to a node carries all that is asked of it: what is under
		// way at the same time shares packets. Retries are the circuit's.
		PipelineMultiplex: -1, AlwaysPipelining: true, BlockingPipeline: -1, BlockingPoolSize: 1,
		DisableRetry: true, DisableCache: true, ConnWriteTimeout: silence,
		RingScaleEachConn: ringScale, ReadBufferEachConn: buffer, WriteBufferEachConn: buffer,
	})
}

// secret reads a password where there is one to read.
func secret(read func() (string, error)) (string, error) {
	if read == nil {
		return "", nil
	}
	secret, err := read()
	if err != nil {
		return "", fmt.Errorf("read the password for Redis: %w", err)
	}
	return secret, nil
}

// connections counts what is open.
type connections struct{ open atomic.Int64 }

func (c *connections) dial(ctx context.Context, address string, dialer *net.Dialer, config *tls.Config) (net.Conn, error) {
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	if config != nil {
		if conn, err = handshake(ctx, conn, address, config); err != nil {
			return nil, err
		}
	}
	c.open.Add(1)
	return &counted{Conn: conn, closed: sync.OnceFunc(func() { c.open.Add(-1) })}, nil
}

func handshake(ctx context.Context, raw net.Conn, address string, config *tls.Config) (net.Conn, error) {
	if config.ServerName == "" {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			return nil, errors.Join(err, raw.Close())
		}
		config = config.Clone()
		config.ServerName = host
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	conn := tls.Client(raw, config)
	if err := conn.HandshakeContext(ctx); err != nil {
		return nil, errors.Join(err, raw.Close())
	}
	return conn, nil
}

// counted is a connection that is counted until it is closed.
type counted struct {
	net.Conn
	closed func()
}

// Close closes the connection.
func (c *counted) Close() error {
	c.closed()
	return c.Conn.Close()
}
