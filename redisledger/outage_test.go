package redisledger_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"kubernaut.io/gateway/redisledger"
	"kubernaut.io/gateway/test/redistest"
)

// outage is a fault and how it ends.
type outage struct {
	name    string
	options redistest.Options
	begin   func(tb testing.TB, s *redistest.Server, p *redistest.Proxy)
	end     func(tb testing.TB, s *redistest.Server, p *redistest.Proxy)
	// says is a part of why the ledger is degraded.
	says string
}

func do(command ...string) func(testing.TB, *redistest.Server, *redistest.Proxy) {
	return func(tb testing.TB, s *redistest.Server, _ *redistest.Proxy) {
		tb.Helper()
		s.MustDo(tb, command...)
	}
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

const aclUser = "gateway on >secret ~* +@all"

var outages = []outage{
	{
		name:  "hung",
		begin: func(tb testing.TB, s *redistest.Server, _ *redistest.Proxy) { tb.Helper(); must(tb, s.Freeze()) },
		end:   func(tb testing.TB, s *redistest.Server, _ *redistest.Proxy) { tb.Helper(); must(tb, s.Thaw()) },
		says:  "deadline",
	},
	{
		name:  "down",
		begin: func(tb testing.TB, s *redistest.Server, _ *redistest.Proxy) { tb.Helper(); must(tb, s.Kill()) },
		end: func(tb testing.TB, s *redistest.Server, _ *redistest.Proxy) {
			tb.Helper()
			must(tb, s.Restart(tb.Context()))
		},
	},
	{
		name: "full", says: "OOM",
		begin: do("CONFIG", "SET", "maxmemory", "1"), end: do("CONFIG", "SET", "maxmemory", "0"),
	},
	{
		name: "made a replica", says: "READONLY",
		begin: do("REPLICAOF", "127.0.0.1", "1"), end: do("REPLICAOF", "NO", "ONE"),
	},
	{
		name: "a replica without its master", says: "MASTERDOWN",
		options: redistest.Options{Config: []string{"replica-serve-stale-data no"}},
		begin:   do("REPLICAOF", "127.0.0.1", "1"), end: do("REPLICAOF", "NO", "ONE"),
	},
	{
		name: "without replicas", says: "NOREPLICAS",
		begin: do("CONFIG", "SET", "min-replicas-to-write", "1"), end: do("CONFIG", "SET", "min-replicas-to-write", "0"),
	},
	{
		name: "scripts not permitted", says: "NOPERM",
		begin: do("ACL", "SETUSER", "gateway", "-evalsha", "-eval"), end: do("ACL", "SETUSER", "gateway", "+@all"),
	},
	{
		name:  "commands not permitted",
		begin: do("ACL", "SETUSER", "gateway", "-hsetnx"), end: do("ACL", "SETUSER", "gateway", "+@all"),
	},
	{
		name: "password changed", says: "WRONGPASS",
		begin: func(tb testing.TB, s *redistest.Server, _ *redistest.Proxy) {
			tb.Helper()
			s.MustDo(tb, "ACL", "SETUSER", "gateway", "resetpass", ">other")
			s.MustDo(tb, "CLIENT", "KILL", "USER", "gateway")
		},
		end: do("ACL", "SETUSER", "gateway", ">secret"),
	},
	{
		name:  "slow by two seconds",
		begin: func(_ testing.TB, _ *redistest.Server, p *redistest.Proxy) { p.Delay(2 * time.Second) },
		end:   func(_ testing.TB, _ *redistest.Server, p *redistest.Proxy) { p.Delay(0) },
	},
	{
		name:  "slower than a call may wait",
		begin: func(_ testing.TB, _ *redistest.Server, p *redistest.Proxy) { p.Delay(120 * time.Millisecond) },
		end:   func(_ testing.TB, _ *redistest.Server, p *redistest.Proxy) { p.Delay(0) },
	},
	{
		name:  "cut off",
		begin: func(_ testing.TB, _ *redistest.Server, p *redistest.Proxy) { p.Cut() },
		end:   func(_ testing.TB, _ *redistest.Server, p *redistest.Proxy) { p.Mend() },
	},
	{
		name: "loading", says: "LOADING",
		// Each of two thousand keys takes a millisecond to load.
		options: redistest.Options{Config: []string{"key-load-delay 1000", "loading-process-events-interval-bytes 1024"}},
		begin: func(tb testing.TB, s *redistest.Server, _ *redistest.Proxy) {
			tb.Helper()
			s.MustDo(tb, "DEBUG", "POPULATE", "2000")
			s.MustDo(tb, "SAVE")
			must(tb, s.Kill())
			must(tb, s.Restart(tb.Context()))
		},
		end: func(testing.TB, *redistest.Server, *redistest.Proxy) {},
	},
}

func TestOutage(t *testing.T) {
	t.Parallel()
	for _, o := range outages {
		t.Run(o.name, func(t *testing.T) {
			t.Parallel()
			o.options.Users = []string{aclUser}
			s := redistest.MustStart(t, o.options)
			p := redistest.MustStartProxy(t, s.Address())
			r := connect(t, redisledger.Options{Timeout: redisledger.DefaultTimeout, Addresses: []string{p.Address()}, Username: "gateway", Password: secret})
			signals := r.send(t)
			signals.more(t, 20)
			o.begin(t, s, p)
			r.said.await(t, true)
			eventually(t, "Degraded says "+o.says, func() bool {
				why := r.Degraded()
				return strings.Contains(why, o.says) || why == "" // loading may be over
			})
			signals.more(t, 200)
			o.end(t, s, p)
			r.said.await(t, false)
			signals.more(t, 20)
			signals.stop()
			r.wantShared(t)
			eventually(t, "one connection again", func() bool { return r.Connections() == 1 })
		})
	}
}

func TestClusterOutage(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name       string
		begin, end func(ctx context.Context, s *redistest.Server) error
	}{
		{
			"a node down",
			func(_ context.Context, s *redistest.Server) error { return s.Kill() },
			func(ctx context.Context, s *redistest.Server) error { return s.Restart(ctx) },
		},
		{
			"a node hung",
			func(_ context.Context, s *redistest.Server) error { return s.Freeze() },
			func(_ context.Context, s *redistest.Server) error { return s.Thaw() },
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := redistest.MustStartCluster(t, 3, redistest.Options{Password: "secret"})
			r := connect(t, redisledger.Options{Timeout: redisledger.DefaultTimeout, Addresses: c.Addresses(), Password: secret})
			signals := r.send(t)
			signals.more(t, 20)
			must(t, test.begin(t.Context(), c.Nodes[2]))
			r.said.await(t, true)
			signals.more(t, 200)
			must(t, test.end(t.Context(), c.Nodes[2]))
			must(t, c.Await(t.Context()))
			eventually(t, "Redis is back", func() bool { return r.Degraded() == "" })
			signals.more(t, 20)
			// The client learns of the nodes anew when it is used.
			eventually(t, "no more than a connection a node", func() bool { return r.Connections() <= 3 })
			signals.stop()
			r.wantShared(t)
		})
	}
}

// TestSentinelFailover kills the master in the midst of work, and then the one
// that took its place.
func TestSentinelFailover(t *testing.T) {
	t.Parallel()
	s := redistest.MustStartSentinel(t, redistest.Options{Password: "secret"})
	r := connect(t, redisledger.Options{
		Timeout: redisledger.DefaultTimeout, Addresses: s.Addresses(), MasterName: redistest.MasterName, Password: secret,
	})
	signals := r.send(t)
	signals.more(t, 20)
	must(t, s.Servers[0].Kill())
	begin := time.Now()
	r.said.await(t, true)
	r.said.await(t, false)
	t.Logf("failover took %v", time.Since(begin))
	if master, err := s.Master(t.Context()); err != nil || master != s.Servers[1] {
		t.Errorf("the master is %v, %v; want the other server", master, err)
	}
	signals.more(t, 20)
	signals.stop()
	r.wantShared(t)
	eventually(t, "a connection to the master and one to Sentinel", func() bool { return r.Connections() <= 2 })
}

func TestStartWithoutRedis(t *testing.T) {
	t.Parallel()
	s := redistest.MustStart(t, redistest.Options{})
	must(t, s.Kill())
	r := open(t, redisledger.Options{Addresses: []string{s.Address()}})
	signals := r.send(t)
	signals.more(t, 20)
	r.said.await(t, true)
	must(t, s.Restart(t.Context()))
	r.said.await(t, false)
	signals.stop()
	r.wantShared(t)
}
