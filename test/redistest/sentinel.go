package redistest

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
)

// MasterName is what a Sentinel of this package calls its master.
const MasterName = "gateway"

// Sentinel is two servers, of which one follows the other, and one Sentinel that
// makes the other master when the first is gone for half a second.
type Sentinel struct {
	// Servers are the data nodes; the first is master at first.
	Servers [2]*Server
	// Watcher is the Sentinel.
	Watcher *Server
}

// StartSentinel returns a master with a replica in step and a Sentinel that
// knows both. The caller must Close it.
func StartSentinel(ctx context.Context, o Options) (*Sentinel, error) {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	s := &Sentinel{}
	if err := s.assemble(ctx, o); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// MustStartSentinel is StartSentinel, with Close when the test ends.
func MustStartSentinel(tb testing.TB, o Options) *Sentinel {
	tb.Helper()
	s, err := StartSentinel(tb.Context(), o)
	return must(tb, s, err)
}

func (s *Sentinel) assemble(ctx context.Context, o Options) (err error) {
	quick := func(int) []string { return []string{"repl-diskless-sync-delay 0", "repl-ping-replica-period 1"} }
	for i := range s.Servers {
		if s.Servers[i], err = start(ctx, o, quick); err != nil {
			return fmt.Errorf("start server %d: %w", i, err)
		}
	}
	master, replica := s.Servers[0], s.Servers[1]
	if _, err := replica.Do(ctx, "REPLICAOF", "127.0.0.1", strconv.Itoa(master.port)); err != nil {
		return fmt.Errorf("make the second server follow the first: %w", err)
	}
	if err := awaitReplica(ctx, replica); err != nil {
		return err
	}
	watch := Options{sentinel: true, Config: []string{
		fmt.Sprintf("sentinel monitor %s 127.0.0.1 %d 1", MasterName, master.port),
		"sentinel down-after-milliseconds " + MasterName + " 500",
		"sentinel failover-timeout " + MasterName + " 3000",
	}}
	if o.Password != "" {
		watch.Config = append(watch.Config, "sentinel auth-pass "+MasterName+" "+o.Password)
	}
	if s.Watcher, err = Start(ctx, watch); err != nil {
		return fmt.Errorf("start Sentinel: %w", err)
	}
	return s.awaitWatch(ctx)
}

// awaitWatch waits until the Sentinel has found the replica, without which it
// could do nothing when the master goes.
func (s *Sentinel) awaitWatch(ctx context.Context) error {
	return poll(ctx, "Sentinel to find the replica", func() error {
		answer, err := s.Watcher.Do(ctx, "SENTINEL", "REPLICAS", MasterName)
		if err != nil {
			return err
		}
		replicas, err := answer.ToArray()
		if err != nil {
			return err
		}
		if len(replicas) == 0 {
			return errors.New("it knows none")
		}
		state, err := replicas[0].AsStrMap()
		if err == nil && (state["master-link-status"] != "ok" || state["flags"] != "slave") {
			err = fmt.Errorf("it says %v", state)
		}
		return err
	})
}

func awaitReplica(ctx context.Context, replica *Server) error {
	return poll(ctx, "the replica to be in step", func() error {
		answer, err := replica.Do(ctx, "INFO", "replication")
		if err != nil {
			return err
		}
		info, err := answer.ToString()
		if err == nil && !strings.Contains(info, "master_link_status:up") {
			err = errors.New(info)
		}
		return err
	})
}

// Master returns the server that the Sentinel calls master.
func (s *Sentinel) Master(ctx context.Context) (*Server, error) {
	answer, err := s.Watcher.Do(ctx, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", MasterName)
	if err != nil {
		return nil, fmt.Errorf("ask Sentinel for the master: %w", err)
	}
	where, err := answer.AsStrSlice()
	if err != nil || len(where) != 2 {
		return nil, fmt.Errorf("ask Sentinel for the master: it says %v: %w", where, err)
	}
	for _, server := range s.Servers {
		if strconv.Itoa(server.port) == where[1] {
			return server, nil
		}
	}
	return nil, fmt.Errorf("Sentinel names a stranger: %v", where)
}

// Addresses returns the address of the Sentinel, which clients ask for the
// master.
func (s *Sentinel) Addresses() []string { return []string{s.Watcher.Address()} }

// Close stops all servers.
func (s *Sentinel) Close() error {
	return errors.Join(closeAll([]*Server{s.Watcher}), closeAll(s.Servers[:]))
}
