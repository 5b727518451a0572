package app

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"kubernaut.io/gateway"
	"kubernaut.io/gateway/config"
	"kubernaut.io/gateway/memledger"
	"kubernaut.io/gateway/redisledger"
	"kubernaut.io/gateway/spool"
	"kubernaut.io/gateway/telemetry"
)

// ledgers makes the ledger in memory, and over it the one in Redis where there
// is one to be had. It returns the one that the pipeline asks.
func (a *App) ledgers(metrics *telemetry.Metrics) (gateway.Ledger, error) {
	c := a.options.Config
	a.memory = memledger.New(memledger.Options{LateFiring: c.Dedup.LateFiring})
	r := &c.Redis
	if len(r.Addresses) == 0 {
		return a.memory, nil
	}
	encryption, err := redisTLS(&r.TLS)
	if err != nil {
		return nil, err
	}
	a.redis, err = redisledger.New(redisledger.Options{
		Addresses: r.Addresses, MasterName: r.MasterName, Username: r.Username, Password: password(r.PasswordFile),
		SentinelUsername: r.Sentinel.Username, SentinelPassword: password(r.Sentinel.PasswordFile),
		KeyPrefix: r.KeyPrefix, TLS: encryption, LateFiring: c.Dedup.LateFiring,
		Local: a.memory, Observer: metrics, Logger: a.options.Logger,
	})
	return a.redis, err
}

// watchSilence returns for how long the watch of requests has told nothing.
func (a *App) watchSilence() time.Duration {
	if a.sink == nil {
		return 0
	}
	return a.sink.SilentFor()
}

// redisConnections returns how many connections to Redis are open.
func (a *App) redisConnections() int {
	if a.redis == nil {
		return 0
	}
	return a.redis.Connections()
}

// password returns what reads a password from its file, so that a new one is
// taken up without a restart; nil for no file.
func password(file string) func() (string, error) {
	if file == "" {
		return nil
	}
	return func() (string, error) {
		raw, err := os.ReadFile(file)
		return strings.TrimRight(string(raw), "\r\n"), err
	}
}

// redisTLS returns how connections to Redis are encrypted, nil for not at all.
func redisTLS(c *config.RedisTLS) (*tls.Config, error) {
	if !c.Enabled {
		return nil, nil
	}
	encryption := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: c.ServerName}
	if c.CAFile != "" {
		pem, err := os.ReadFile(c.CAFile)
		if err != nil {
			return nil, fmt.Errorf("redis.tls.caFile: %w", err)
		}
		encryption.RootCAs = x509.NewCertPool()
		if !encryption.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("redis.tls.caFile: %s holds no certificate in PEM", c.CAFile)
		}
	}
	if c.CertFile != "" {
		// It is read for each connection, so that a renewed one is taken up.
		load := func() (*tls.Certificate, error) {
			pair, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
			return &pair, err
		}
		if _, err := load(); err != nil {
			return nil, fmt.Errorf("redis.tls.certFile: %w", err)
		}
		encryption.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return load() }
	}
	return encryption, nil
}

// openSpool opens the spool where there is one. What it drains comes to the
// pipeline, which is there by the time that it runs.
func (a *App) openSpool(metrics *telemetry.Metrics) error {
	c := &a.options.Config.Spool
	if c.Dir == "" {
		return nil
	}
	var err error
	a.spool, err = spool.Open(spool.Options{
		Dir: c.Dir, MaxBytes: c.MaxBytes, Observer: looking{metrics, a.past.feed}, Logger: a.options.Logger,
		Drain: func(ctx context.Context, s *gateway.Signal) gateway.Decision { return a.pipeline.Drain(ctx, s) },
	})
	if err != nil {
		return fmt.Errorf("spool.dir: %w", err)
	}
	return nil
}

// degraded names what is away and costs only speed, counts or immediacy.
func (a *App) degraded() []string {
	var what []string
	if a.redis != nil {
		if why := a.redis.Degraded(); why != "" {
			what = append(what, why+"; this replica goes by what it knows itself")
		}
	}
	if a.spool != nil && a.spool.Away() {
		what = append(what, "the Kubernetes API takes no writes, signals are kept in the spool")
	}
	return slices.Concat(what, a.rules.problems(), a.credentials.problems(), a.namespaces.Problems(), a.orders.problems(), a.silent())
}

// closeStores gives back what the stores hold.
func (a *App) closeStores() error {
	if a.redis != nil {
		a.redis.Close()
	}
	if a.spool == nil {
		return a.audit.close()
	}
	return errors.Join(a.spool.Close(), a.audit.close())
}

// silenced returns how many silences of a place are in force.
func (a *App) silenced(from string) int {
	if a.orders == nil {
		return 0
	}
	return a.orders.silences.InForce(from, a.sink.Now())
}

// parked returns how many signals are parked.
func (a *App) parked() int {
	if a.pipeline == nil {
		return 0
	}
	waiting, _ := a.pipeline.Parked()
	return waiting
}

// parkedLost returns how many signals were not parked for want of room.
func (a *App) parkedLost() int {
	if a.pipeline == nil {
		return 0
	}
	_, lost := a.pipeline.Parked()
	return int(lost)
}

// requests returns how many requests the gateway knows.
func (a *App) requests() int {
	if a.sink == nil {
		return 0
	}
	return a.sink.Size()
}
