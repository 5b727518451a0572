package ingress

import (
	"net"
	"net/http"
	"testing"
)

func mustPipe(t *testing.T) net.Conn {
	t.Helper()
	here, there := net.Pipe()
	t.Cleanup(func() {
		here.Close()
		there.Close()
	})
	return here
}

// Where there are too many connections, the one that has been idle for longest
// makes room; where none is idle, the new one goes.
func TestConnections(t *testing.T) {
	c := newConnections(3)
	var all [6]net.Conn
	for i := range all {
		all[i] = mustPipe(t)
	}
	note := func(i int, state http.ConnState, want net.Conn) {
		t.Helper()
		if got := c.note(all[i], state); got != want {
			t.Errorf("connection %d %s: %v has to go, want %v", i, state, got, want)
		}
	}
	for i := range 3 {
		note(i, http.StateNew, nil)
		note(i, http.StateActive, nil)
	}
	note(3, http.StateNew, all[3]) // none is idle
	note(3, http.StateClosed, nil)
	note(1, http.StateIdle, nil)
	note(0, http.StateIdle, nil)
	note(1, http.StateActive, nil)
	note(1, http.StateIdle, nil)
	note(4, http.StateNew, all[0]) // idle for longer than 1
	note(0, http.StateActive, nil) // it came before it was closed
	note(0, http.StateIdle, nil)
	note(0, http.StateClosed, nil)
	note(4, http.StateClosed, nil)
	note(5, http.StateNew, nil)
	if len(c.all) != 3 || c.idle.Len() != 1 {
		t.Errorf("%d connections, %d idle", len(c.all), c.idle.Len())
	}
	for i := range all {
		c.changed(all[i], http.StateClosed)
	}
	if len(c.all) != 0 || c.idle.Len() != 0 {
		t.Errorf("%d connections, %d idle are left", len(c.all), c.idle.Len())
	}
	over := mustPipe(t)
	c.most = 0
	c.changed(over, http.StateNew)
	if _, err := over.Write([]byte("x")); err == nil {
		t.Error("one too many is left open")
	}
}
