package ingress

import (
	"container/list"
	"crypto/tls"
	"net"
	"net/http"
	"sync"
)

// connections bounds how many a listener has. Where there are too many, the one
// that has been idle for longest makes room; where none is idle, the new one goes.
// So whoever opens many and leaves them open keeps nobody out, as by a listener
// that accepts no more. It is safe for concurrent use.
type connections struct {
	most int

	mu sync.Mutex
	// all has each connection, with its place in idle or nil.
	all map[net.Conn]*list.Element
	// idle has those between two requests, the longest first.
	idle *list.List
}

func newConnections(most int) *connections {
	return &connections{most: most, all: make(map[net.Conn]*list.Element), idle: list.New()}
}

// changed is http.Server's ConnState.
func (c *connections) changed(conn net.Conn, state http.ConnState) {
	if over := c.note(conn, state); over != nil {
		sever(over)
	}
}

// note takes the state of a connection, and returns one that has to go, if any.
func (c *connections) note(conn net.Conn, state http.ConnState) (over net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if place := c.all[conn]; place != nil {
		c.idle.Remove(place)
		c.all[conn] = nil
	}
	switch state {
	case http.StateNew:
		c.all[conn] = nil
		if len(c.all) <= c.most {
			return nil
		}
		if oldest := c.idle.Front(); oldest != nil {
			conn = c.idle.Remove(oldest).(net.Conn)
		}
		// It is no longer counted, whenever net/http notices.
		delete(c.all, conn)
		return conn
	case http.StateIdle:
		if _, counted := c.all[conn]; counted {
			c.all[conn] = c.idle.PushBack(conn)
		}
	case http.StateClosed, http.StateHijacked:
		delete(c.all, conn)
	case http.StateActive:
	}
	return nil
}

// sever closes a connection without a word: the last one of TLS could wait for an
// end that takes nothing.
func sever(conn net.Conn) {
	if encrypted, ok := conn.(*tls.Conn); ok {
		conn = encrypted.NetConn()
	}
	// An error means that it is closed already.
	_ = conn.Close()
}
