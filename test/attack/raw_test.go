package attack

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// mustDial opens a connection that ends with the test.
func mustDial(t *testing.T, address string) net.Conn {
	t.Helper()
	conn, err := net.DialTimeout("tcp", address, 5*time.Second)
	must(t, err)
	t.Cleanup(func() { conn.Close() })
	return conn
}

// mustDialTLS opens an encrypted connection for a protocol.
func (g *target) mustDialTLS(t *testing.T, w *world, protocol string) *tls.Conn {
	t.Helper()
	conn, err := tls.Dial("tcp", g.hooks, &tls.Config{RootCAs: w.servers.Pool(), NextProtos: []string{protocol}, MinVersion: tls.VersionTLS12})
	must(t, err)
	t.Cleanup(func() { conn.Close() })
	return conn
}

// raw sends text on a connection of its own, ends it, and returns all answers
// until the gateway has closed it.
func raw(t *testing.T, address, text string) []answer {
	t.Helper()
	conn := mustDial(t, address)
	// A write may fail: the gateway may have closed the connection already.
	_, _ = io.WriteString(conn, text)
	_ = conn.(*net.TCPConn).CloseWrite()
	return answers(t, conn)
}

// answers reads what a connection answers until it ends.
func answers(t *testing.T, conn net.Conn) []answer {
	t.Helper()
	must(t, conn.SetReadDeadline(time.Now().Add(20*time.Second)))
	reader := bufio.NewReader(conn)
	var all []answer
	for {
		response, err := http.ReadResponse(reader, nil)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal("the connection was left open")
		}
		if err != nil {
			return all
		}
		body, err := io.ReadAll(response.Body)
		response.Body.Close()
		all = append(all, answer{response.StatusCode, response.Header, string(body)})
		if err != nil {
			return all
		}
	}
}

// mustClose waits until the gateway closes a connection, and returns what it said.
func mustClose(t *testing.T, conn net.Conn, within time.Duration) string {
	t.Helper()
	must(t, conn.SetReadDeadline(time.Now().Add(within)))
	said, err := io.ReadAll(conn)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a connection was still open after %v", within)
	}
	return string(said)
}

// post is a request in full as HTTP/1.1 has it.
func post(path, body string, headers ...string) string {
	return "POST " + path + " HTTP/1.1\r\nHost: gateway\r\nContent-Type: application/json\r\n" + lines(headers...) + sized(body)
}

// lines are header lines.
func lines(headers ...string) string {
	var b strings.Builder
	for i := 0; i+1 < len(headers); i += 2 {
		b.WriteString(headers[i] + ": " + headers[i+1] + "\r\n")
	}
	return b.String()
}

// mustBeOnly fails unless there is one answer at most, of one of the statuses; a
// connection that ends without one is as good as a refusal.
func mustBeOnly(t *testing.T, all []answer, wanted ...int) {
	t.Helper()
	switch {
	case len(all) > 1:
		t.Errorf("%d answers: %+v", len(all), all)
	case len(all) == 1:
		all[0].mustBe(t, wanted...)
	}
}

// sized is the end of a header, and a body of that length.
func sized(body string) string {
	return "Content-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + body
}
