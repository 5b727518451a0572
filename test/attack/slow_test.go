package attack

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"kubernaut.io/gateway/test/harness"
)

// patience is beyond the 5 s that a header may take, and bodyPatience beyond the
// 30 s of a request.
const patience, bodyPatience = 12 * time.Second, 45 * time.Second

var slowAttacks = []attack{
	{
		name: "silence", does: "a connection says nothing", must: "it is closed after 5 s",
		run: func(t *testing.T, w *world) { mustClose(t, mustDial(t, w.plain.hooks), patience) },
	},
	{
		name: "slow header", does: "a header comes byte by byte (slowloris)", must: "the connection is closed after 5 s",
		run: func(t *testing.T, w *world) { trickle(t, w.plain.hooks, "POST /webhook/open HTTP/1.1\r\n", patience) },
	},
	{
		name: "slow header, operators", does: "the same on the operators' port", must: "the connection is closed after 5 s",
		run: func(t *testing.T, w *world) { trickle(t, w.plain.admin, "GET / HTTP/1.1\r\n", patience) },
	},
	{
		name: "slow handshake", does: "a TLS handshake is begun and not gone on with", must: "the connection is closed after 5 s",
		run: func(t *testing.T, w *world) {
			conn := mustDial(t, w.tls.hooks)
			_, err := conn.Write([]byte{22, 3, 1, 2, 0, 1, 0})
			must(t, err)
			mustClose(t, conn, patience)
		},
	},
	{
		name: "slow body", does: "a body comes byte by byte", must: "the request is refused after 30 s", takesLong: true,
		run: func(t *testing.T, w *world) {
			trickle(t, w.plain.hooks, "POST /webhook/open HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n", bodyPatience)
		},
	},
	{
		name: "slow chunks", does: "chunks of one byte come", must: "the request is refused after 30 s", takesLong: true,
		run: func(t *testing.T, w *world) {
			conn := mustDial(t, w.plain.hooks)
			_, err := io.WriteString(conn, "POST /webhook/open HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
			must(t, err)
			drip(t, conn, "1\r\n \r\n", bodyPatience)
		},
	},
	{
		name: "announced and not sent", does: "64 connections announce a body of 1 MiB each and send none of it",
		must: "all are asked for it, and other senders are accepted meanwhile", alone: true, run: announce,
	},
	{
		name: "idle connections", does: "4,500 connections are opened and left idle after a request each",
		must: "other senders are accepted, and those idle for longest are closed", alone: true, run: idle,
	},
	{
		name: "slow reader", does: "answers of thousands of requests in one go are not read", must: "the connection ends, and memory does not grow", takesLong: true,
		run: func(t *testing.T, w *world) {
			w.plain.mustNotGrow(t, 200<<20, func() {
				conn := mustDial(t, w.plain.hooks)
				must(t, conn.SetWriteDeadline(time.Now().Add(90*time.Second)))
				request := post("/nothing", "")
				for {
					if _, err := io.WriteString(conn, request); err != nil {
						if errors.Is(err, os.ErrDeadlineExceeded) {
							t.Error("the connection was still open after 90 s")
						}
						return
					}
				}
			})
		},
	},
}

// trickle sends the beginning of a request, and then a byte of it now and then.
func trickle(t *testing.T, address, start string, within time.Duration) {
	t.Helper()
	conn := mustDial(t, address)
	_, err := io.WriteString(conn, start)
	must(t, err)
	drip(t, conn, "x", within)
}

// drip sends a text now and then, until the gateway says or closes something.
func drip(t *testing.T, conn net.Conn, text string, within time.Duration) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		mustEnd(t, conn, within)
	}()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			_, _ = io.WriteString(conn, text) // it ends when it is closed
		case <-done:
			return
		}
	}
}

// mustEnd waits until the gateway answers or closes a connection.
func mustEnd(t *testing.T, conn net.Conn, within time.Duration) {
	t.Helper()
	_ = conn.SetReadDeadline(time.Now().Add(within))
	began := time.Now()
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("there was no end of it within %v", within)
		return
	}
	if err == nil {
		response.Body.Close()
		if response.StatusCode/100 == 2 {
			t.Errorf("it was accepted after %v", time.Since(began))
		}
	}
}

func announce(t *testing.T, w *world) {
	for range 64 {
		conn := mustDial(t, w.plain.hooks)
		_, err := fmt.Fprintf(conn, "POST /webhook/hmac HTTP/1.1\r\nHost: x\r\n%s: %064d\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n", signature, 0, maxBody)
		must(t, err)
		line, err := bufio.NewReader(conn).ReadString('\n')
		if err != nil || line != "HTTP/1.1 100 Continue\r\n" {
			t.Fatalf("answered %q (%v)", line, err)
		}
	}
	large := alert(unique(), "cart", "padding", strings.Repeat("x", maxBody/2))
	w.plain.mustPost(t, "bearer", large, "Authorization", "Bearer "+tokenA).mustBe(t, 201)
}

// ended tells whether the other side closed an idle connection.
func ended(conn net.Conn) bool {
	_ = conn.SetReadDeadline(time.Now().Add(time.Millisecond))
	_, err := conn.Read(make([]byte, 4096))
	return err != nil && !errors.Is(err, os.ErrDeadlineExceeded)
}

func idle(t *testing.T, w *world) {
	const many = 4500
	request := "GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n"
	var all []net.Conn
	for i := range many {
		conn, err := net.DialTimeout("tcp", w.plain.hooks, 10*time.Second)
		if err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
		defer conn.Close()
		must(t, conn.SetDeadline(time.Now().Add(20*time.Second)))
		_, err = io.WriteString(conn, request)
		must(t, err)
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
		response.Body.Close()
		all = append(all, conn)
	}
	fresh := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := fresh.Get("http://" + w.plain.admin + "/readyz")
	must(t, err)
	response.Body.Close()
	harness.Eventually(t, "the end of all connections beyond 4096", func() bool {
		all = slices.DeleteFunc(all, ended)
		return len(all) <= 4096
	})
	w.plain.mustServeHonestly(t)
}
