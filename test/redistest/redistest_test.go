package redistest_test

import (
	"context"
	"net"
	"strconv"
	"syscall"
	"testing"
	"time"

	"kubernaut.io/gateway/test/redistest"
)

func TestServer(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		o    redistest.Options
	}{
		{"plain", redistest.Options{}},
		{"password and user", redistest.Options{Password: "secret", Users: []string{"gateway on >other ~* +@all"}}},
		{"TLS", redistest.Options{TLS: true, Password: "secret"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := redistest.MustStart(t, test.o)
			s.MustDo(t, "SET", "a", "1")
			if err := s.Kill(); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Do(t.Context(), "PING"); err == nil {
				t.Error("a killed server answers")
			}
			if err := s.Restart(t.Context()); err != nil {
				t.Fatal(err)
			}
			answer := s.MustDo(t, "EXISTS", "a")
			if n, err := answer.AsInt64(); n != 0 || err != nil {
				t.Errorf("EXISTS = %d, %v after a restart without persistence", n, err)
			}
		})
	}
}

func TestFrozenServerIsKilled(t *testing.T) {
	t.Parallel()
	s := redistest.MustStart(t, redistest.Options{})
	if err := s.Freeze(); err != nil {
		t.Fatal(err)
	}
	pid := s.PID()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, 0); err == nil {
		t.Error("it is still there")
	}
}

func TestCluster(t *testing.T) {
	t.Parallel()
	c := redistest.MustStartCluster(t, 3, redistest.Options{Password: "secret"})
	moved := 0
	for i := range 32 {
		if _, err := c.Nodes[0].Do(t.Context(), "SET", strconv.Itoa(i), "1"); err != nil {
			moved++
		}
	}
	if moved == 0 || moved == 32 {
		t.Errorf("%d of 32 keys are on other nodes", moved)
	}
}

func TestSentinelFailsOver(t *testing.T) {
	t.Parallel()
	s := redistest.MustStartSentinel(t, redistest.Options{Password: "secret"})
	if master, err := s.Master(t.Context()); master != s.Servers[0] || err != nil {
		t.Fatalf("Master = %v, %v", master, err)
	}
	if err := s.Servers[0].Kill(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for {
		master, err := s.Master(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if master == s.Servers[1] {
			break
		}
	}
}

func TestProxy(t *testing.T) {
	t.Parallel()
	s := redistest.MustStart(t, redistest.Options{})
	p := redistest.MustStartProxy(t, s.Address())
	conn, err := net.Dial("tcp", p.Address())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ping := func() (time.Duration, error) {
		begin := time.Now()
		if _, err := conn.Write([]byte("PING\r\n")); err != nil {
			return 0, err
		}
		_, err := conn.Read(make([]byte, 16))
		return time.Since(begin), err
	}
	if _, err := ping(); err != nil {
		t.Fatal(err)
	}
	const delay = 100 * time.Millisecond
	p.Delay(delay)
	if took, err := ping(); err != nil || took < delay {
		t.Errorf("an answer took %v, %v", took, err)
	}
	p.Cut()
	if _, err := ping(); err == nil {
		t.Error("an answer came through a cut")
	}
}
