package attack

import (
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
)

// smuggled is one way to have two readers disagree on where a request ends.
// TEXT stands for a second request within the first, LENGTH for its length.
type smuggled struct {
	name, does, text string
	// status is what the first request may be answered with; 0 for a refusal.
	status int
}

var smuggling = []smuggled{
	{"CL.TE", "Content-Length and Transfer-Encoding, the length covering a second request", "Content-Length: LENGTH\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nTEXT", 400},
	{"TE.TE, twice", "two Transfer-Encoding headers", "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\nTEXT", 0},
	{"TE, another", "Transfer-Encoding: xchunked", "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\nTEXT", 0},
	{"TE, a list", "Transfer-Encoding: identity, chunked", "Transfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\nTEXT", 0},
	{"TE, a space before the colon", "Transfer-Encoding : chunked", "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\nTEXT", 0},
	{"TE, vertical tab", "Transfer-Encoding with a vertical tab before its value", "Transfer-Encoding: \vchunked\r\n\r\n0\r\n\r\nTEXT", 0},
	{"TE, folded", "Transfer-Encoding on a folded line", "Content-Length: LENGTH\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\nTEXT", 400},
	{"CL.CL", "two lengths that differ", "Content-Length: 0\r\nContent-Length: LENGTH\r\n\r\nTEXT", 0},
	{"CL, signed", "a length of +0", "Content-Length: +0\r\n\r\nTEXT", 0},
	{"CL, negative", "a length of -1", "Content-Length: -1\r\n\r\nTEXT", 0},
	{"CL, a list", "a length of 0, LENGTH", "Content-Length: 0, LENGTH\r\n\r\nTEXT", 0},
	{"CL, too large", "a length beyond 64 bits", "Content-Length: 18446744073709551616\r\n\r\nTEXT", 0},
	{"chunk, too large", "a chunk's size beyond 64 bits", "Transfer-Encoding: chunked\r\n\r\n10000000000000000\r\n\r\nTEXT", 0},
	{"chunk, bare line feed", "a chunk's size that ends with a bare line feed", "Transfer-Encoding: chunked\r\n\r\n0;a\nTEXT", 0},
	{"chunk, hexadecimal", "a chunk's size of 0x0", "Transfer-Encoding: chunked\r\n\r\n0x0\r\n\r\nTEXT", 0},
	{"HTTP/1.0 with chunks", "Transfer-Encoding in HTTP/1.0, kept alive", "1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\nTEXT", 400},
}

func framingAttacks() []attack {
	var all []attack
	for _, s := range smuggling {
		all = append(all, attack{
			name: s.name, does: strings.ReplaceAll(s.does, "LENGTH", "the real one"), must: "it is refused or answered alone and the connection ends; the second request is not carried out",
			run: func(t *testing.T, w *world) { smuggle(t, w, s) },
		})
	}
	return append(all, []attack{
		{
			name: "body of a GET", does: "a GET has a second request as its body", must: "it is answered 405, and the second request is not carried out",
			run: func(t *testing.T, w *world) {
				name := unique()
				all := raw(t, w.plain.hooks, "GET /webhook/open HTTP/1.1\r\nHost: x\r\n"+sized(post("/webhook/open", alert(name, "cart"))))
				mustBeOnly(t, all, 405)
				w.plain.mustHaveNone(t, name)
			},
		},
		{
			name: "behind a 413", does: "a body that is too large has a request at its end", must: "it is answered 413, and the request is not carried out",
			run: func(t *testing.T, w *world) {
				name := unique()
				all := raw(t, w.plain.hooks, post("/webhook/open", strings.Repeat(" ", maxBody+1)+post("/webhook/open", alert(name, "cart"))))
				mustBeOnly(t, all, 413)
				w.plain.mustHaveNone(t, name)
			},
		},
		{
			name: "behind a 401", does: "a request without credentials has another as its body", must: "one is answered 401, the other is not carried out",
			run: func(t *testing.T, w *world) {
				name := unique()
				mustBeOnly(t, raw(t, w.plain.hooks, post("/webhook/bearer", post("/webhook/open", alert(name, "cart")))), 401)
				w.plain.mustHaveNone(t, name)
			},
		},
		{
			name: "pipelining", does: "50 requests come at once on one connection", must: "each has its answer, in order, with its own request ID",
			run: func(t *testing.T, w *world) {
				var b strings.Builder
				for i := range 50 {
					b.WriteString(post("/nothing", "", "X-Request-Id", fmt.Sprintf("pipelined-%d", i)))
				}
				all := raw(t, w.plain.hooks, b.String())
				if len(all) != 50 {
					t.Fatalf("%d answers", len(all))
				}
				for i, a := range all {
					a.mustBe(t, 404)
					if got, want := a.header.Get("X-Request-Id"), fmt.Sprintf("pipelined-%d", i); got != want {
						t.Errorf("answer %d has request ID %q", i, got)
					}
				}
			},
		},
		{
			name: "Expect before credentials", does: "Expect: 100-continue without credentials, then with an unknown expectation", must: "401 without being asked for the body; 417",
			run: func(t *testing.T, w *world) {
				conn := mustDial(t, w.plain.hooks)
				_, err := io.WriteString(conn, "POST /webhook/bearer HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 1000\r\n\r\n")
				must(t, err)
				must(t, conn.(*net.TCPConn).CloseWrite())
				mustBeOnly(t, answers(t, conn), 401)
				mustBeOnly(t, raw(t, w.plain.hooks, post("/webhook/open", "{}", "Expect", "the-unexpected")), 417)
			},
		},
	}...)
}

func smuggle(t *testing.T, w *world, s smuggled) {
	name := unique()
	hidden := post("/webhook/open", alert(name, "cart"))
	version, rest := "1.1\r\n", s.text
	if after, old := strings.CutPrefix(rest, "1.0\r\n"); old {
		version, rest = "1.0\r\n", after
	}
	rest = strings.NewReplacer("TEXT", hidden, "LENGTH", strconv.Itoa(len(hidden)+5)).Replace(rest)
	all := raw(t, w.plain.hooks, "POST /webhook/open HTTP/"+version+"Host: x\r\n"+rest)
	if s.status != 0 {
		mustBeOnly(t, all, s.status)
	} else {
		mustBeOnly(t, all, 400, 501, 503)
	}
	w.plain.mustHaveNone(t, name)
}
