package main

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
)

const (
	// maxSocketPath is under the size of sun_path on every Unix (104 bytes on
	// macOS, 108 on Linux, a terminating zero included).
	maxSocketPath = 100

	// etcdQuota bounds the database. A hundred thousand objects with their
	// history pass etcd's default of 2 GiB.
	etcdQuota = 8 << 30

	// progressInterval is how often etcd tells a quiet watch how far it is, from
	// which the API server makes bookmarks. Kubernetes runs etcd with this value.
	progressInterval = 5 * time.Second

	// etcdTick and etcdElection, in milliseconds, make the only member elect
	// itself at once. It has nobody to lose an election to, so there is no risk
	// in shorter ones.
	etcdTick     = 20
	etcdElection = 100
)

// store is an etcd that runs in this process, with writes fsynced as in production.
type store struct {
	server    *embed.Etcd
	socketDir string // set when the socket lies outside the data directory
}

// startEtcd starts etcd over dataDir/etcd and waits until it takes requests. It
// listens on a unix socket alone; the caller must hold the lock of dataDir.
func startEtcd(dataDir string) (*store, error) {
	s := &store{}
	socket, err := s.socketPath(dataDir)
	if err != nil {
		return nil, err
	}
	s.server, err = embed.StartEtcd(etcdConfig(filepath.Join(dataDir, "etcd"), socket))
	if err != nil {
		s.close()
		return nil, fmt.Errorf("start etcd: %w", err)
	}
	select {
	case <-s.server.Server.ReadyNotify():
		return s, nil
	case err := <-s.server.Err():
		s.close()
		return nil, fmt.Errorf("start etcd: %w", err)
	}
}

func etcdConfig(dir, socket string) *embed.Config {
	clients := []url.URL{{Scheme: "unix", Path: socket}}
	cfg := embed.NewConfig()
	cfg.Dir = dir
	// What it calls errors at every start and stop is none; real ones are returned.
	cfg.LogLevel = "fatal"
	cfg.ListenPeerUrls = nil
	cfg.ListenClientUrls = clients
	cfg.AdvertiseClientUrls = clients
	cfg.QuotaBackendBytes = etcdQuota
	cfg.WatchProgressNotifyInterval = progressInterval
	cfg.TickMs = etcdTick
	cfg.ElectionMs = etcdElection
	return cfg
}

// socketPath returns where etcd listens: in the data directory, or in a fresh
// directory for temporary files when that path is too long for a socket.
func (s *store) socketPath(dataDir string) (string, error) {
	path := filepath.Join(dataDir, "etcd.sock")
	if len(path) <= maxSocketPath {
		return path, nil
	}
	dir, err := os.MkdirTemp("", "devcluster")
	if err != nil {
		return "", fmt.Errorf("make directory for etcd's socket: %w", err)
	}
	s.socketDir = dir
	path = filepath.Join(dir, "etcd.sock")
	if len(path) > maxSocketPath {
		s.close()
		return "", fmt.Errorf("path of etcd's socket is longer than %d bytes in --data-dir and in TMPDIR too: %s", maxSocketPath, path)
	}
	return path, nil
}

// endpoint is etcd's address for its clients.
func (s *store) endpoint() string {
	listen := s.server.Config().ListenClientUrls[0]
	return listen.String()
}

// close stops etcd; what was acknowledged is on disk by then. It takes the short
// way: embed's Close waits seconds for clients that end with this process anyhow.
func (s *store) close() {
	if s.server != nil {
		s.server.Server.HardStop()
	}
	if s.socketDir != "" {
		os.RemoveAll(s.socketDir)
	}
}
