package attack

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

var streamAttacks = []attack{
	{
		name: "rapid reset", does: "5,000 requests are begun and taken back at once, on one connection, as fast as it takes them",
		must: "100 at most are worked on at a time, other senders are accepted meanwhile, and memory does not grow", alone: true,
		run: func(t *testing.T, w *world) { w.tls.mustNotGrow(t, 100<<20, func() { rapidReset(t, w) }) },
	},
	{
		name: "CONTINUATION flood", does: "the header of one request never ends, 64 MiB of it", must: "the connection is ended, and memory does not grow", alone: true,
		run: func(t *testing.T, w *world) {
			s := mustStream(t, w)
			fragment := s.header(t, "x-padding", strings.Repeat("x", 8<<10))
			must(t, s.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: s.header(t, ":method", "POST", ":path", "/webhook/open")}))
			w.tls.mustNotGrow(t, 100<<20, func() {
				s.mustEndWithin(t, 8_000, func(uint32) error { return s.WriteContinuation(1, false, fragment) })
			})
		},
	},
	{
		name: "PING flood", does: "pings are sent for ever and no answer is read", must: "the connection is ended, and memory does not grow", alone: true,
		run: func(t *testing.T, w *world) {
			s := mustStream(t, w)
			s.deaf = true
			w.tls.mustNotGrow(t, 100<<20, func() {
				s.mustEndWithin(t, 20_000_000, func(id uint32) error { return s.WritePing(false, [8]byte{byte(id)}) })
			})
		},
	},
	{
		name: "SETTINGS flood", does: "settings are sent for ever and no answer is read", must: "the connection is ended, and memory does not grow", alone: true, takesLong: true,
		run: func(t *testing.T, w *world) {
			s := mustStream(t, w)
			s.deaf = true
			w.tls.mustNotGrow(t, 100<<20, func() {
				s.mustEndWithin(t, 20_000_000, func(uint32) error { return s.WriteSettings() })
			})
		},
	},
	{
		name: "HPACK bomb", does: "a field of 4 kB is named 16,000 times in one byte each", must: "the request is refused, and memory does not grow",
		run: func(t *testing.T, w *world) {
			s := mustStream(t, w)
			block := s.header(t, ":method", "POST", ":path", "/webhook/open", "x-bomb", strings.Repeat("x", 3<<10))
			block = append(block, bytes.Repeat([]byte{0x80 | 62}, 16_000)...)
			w.tls.mustNotGrow(t, 100<<20, func() {
				must(t, s.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block[:16<<10], EndStream: true}))
				must(t, s.WriteContinuation(1, true, block[16<<10:]))
				s.mustRefuse(t)
			})
		},
	},
	{
		name: "many streams", does: "400 requests are begun on one connection and none is finished", must: "those beyond 100 are refused",
		run: func(t *testing.T, w *world) {
			s := mustStream(t, w)
			for i := range uint32(400) {
				s.begin(t, 2*i+1, false, ":method", "POST", ":path", "/webhook/open", "content-length", "1000")
			}
			if refused := s.await(t, 300, func(f http2.Frame) bool {
				reset, ok := f.(*http2.RSTStreamFrame)
				_, left := f.(*http2.GoAwayFrame)
				return ok && (reset.ErrCode == http2.ErrCodeRefusedStream || reset.ErrCode == http2.ErrCodeProtocol) || left
			}); !refused {
				t.Error("more than 100 streams are taken")
			}
		},
	},
	{
		name: "length that lies", does: "a request has more bytes than it announces, in HTTP/2", must: "it is refused, and nothing is done",
		run: func(t *testing.T, w *world) {
			s, name := mustStream(t, w), unique()
			s.begin(t, 1, false, ":method", "POST", ":path", "/webhook/open", "content-length", "5")
			must(t, s.WriteData(1, true, []byte(alert(name, "cart"))))
			s.mustRefuse(t)
			w.tls.mustHaveNone(t, name)
		},
	},
	{
		name: "line breaks in a header", does: "a value with a line break and a header behind it comes in HTTP/2", must: "the request is refused",
		run: func(t *testing.T, w *world) {
			s := mustStream(t, w)
			s.begin(t, 1, true, ":method", "POST", ":path", "/webhook/open", "x-a", "b\r\nAuthorization: Bearer "+tokenA)
			s.mustRefuse(t)
		},
	},
	{
		name: "HTTP/1 framing in HTTP/2", does: "Transfer-Encoding and Connection are sent in HTTP/2", must: "the request is refused",
		run: func(t *testing.T, w *world) {
			s := mustStream(t, w)
			s.begin(t, 1, true, ":method", "POST", ":path", "/webhook/open", "transfer-encoding", "chunked", "connection", "keep-alive")
			s.mustRefuse(t)
		},
	},
	{
		name: "window overflow", does: "the window is made larger than 2 GiB", must: "the connection is ended",
		run: func(t *testing.T, w *world) {
			s := mustStream(t, w)
			s.mustEndWithin(t, 10, func(uint32) error { return s.WriteWindowUpdate(0, 1<<31-1) })
		},
	},
	{
		name: "HTTP/2 in the clear", does: "HTTP/2 is spoken, or asked for by Upgrade, without TLS", must: "it is not taken up",
		run: func(t *testing.T, w *world) {
			for _, text := range []string{http2.ClientPreface + "\x00\x00\x00\x04\x00\x00\x00\x00\x00", post("/webhook/open", "{}", "Connection", "Upgrade, HTTP2-Settings", "Upgrade", "h2c", "HTTP2-Settings", "AAMAAABkAAQAoAAAAAIAAAAA")} {
				for _, a := range raw(t, w.plain.hooks, text) {
					a.mustBe(t, 400, 404, 405, 505)
				}
			}
		},
	},
}

// stream is an HTTP/2 connection, frame by frame.
type stream struct {
	*http2.Framer
	hpack   *hpack.Encoder
	encoded bytes.Buffer
	// deaf reads nothing.
	deaf bool
	conn interface {
		io.ReadWriter
		SetDeadline(time.Time) error
	}
	authority string
}

func mustStream(t *testing.T, w *world) *stream {
	t.Helper()
	conn := w.tls.mustDialTLS(t, w, "h2")
	must(t, conn.SetDeadline(time.Now().Add(90*time.Second)))
	_, err := io.WriteString(conn, http2.ClientPreface)
	must(t, err)
	s := &stream{Framer: http2.NewFramer(conn, conn), conn: conn, authority: w.tls.hooks}
	s.AllowIllegalWrites = true
	s.hpack = hpack.NewEncoder(&s.encoded)
	must(t, s.WriteSettings())
	return s
}

// header encodes a header, with what each has before it where it has a method.
func (s *stream) header(t *testing.T, pairs ...string) []byte {
	t.Helper()
	s.encoded.Reset()
	if pairs[0] == ":method" {
		pairs = append([]string{":scheme", "https", ":authority", s.authority}, pairs...)
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		must(t, s.hpack.WriteField(hpack.HeaderField{Name: pairs[i], Value: pairs[i+1]}))
	}
	return bytes.Clone(s.encoded.Bytes())
}

func (s *stream) begin(t *testing.T, id uint32, end bool, pairs ...string) {
	t.Helper()
	// It may have been ended already; that is for who reads to tell.
	_ = s.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: s.header(t, pairs...), EndHeaders: true, EndStream: end})
}

// mustEndWithin writes frames until the gateway ends the connection.
func (s *stream) mustEndWithin(t *testing.T, most int, write func(id uint32) error) {
	t.Helper()
	ended := make(chan error, 1)
	if !s.deaf {
		go func() {
			for {
				f, err := s.ReadFrame()
				if _, left := f.(*http2.GoAwayFrame); left || err != nil {
					ended <- err
					return
				}
			}
		}()
	}
	for i := range most {
		if err := write(uint32(2*i + 1)); err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("the connection was open, and took nothing, after %d frames", i)
			}
			return
		}
		select {
		case err := <-ended:
			if errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("the connection was open after %d frames", i)
			}
			return
		default:
		}
	}
	if s.deaf {
		t.Errorf("the connection is open after %d frames", most)
		return
	}
	must(t, s.conn.SetDeadline(time.Now().Add(20*time.Second)))
	if err := <-ended; errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the connection is open after %d frames", most)
	}
}

// await reads frames until one is as wanted, and reports whether one was.
func (s *stream) await(t *testing.T, most int, wanted func(http2.Frame) bool) bool {
	t.Helper()
	must(t, s.conn.SetDeadline(time.Now().Add(20*time.Second)))
	for range most {
		f, err := s.ReadFrame()
		if err != nil {
			return false
		}
		if wanted(f) {
			return true
		}
	}
	return false
}

// mustRefuse waits until the first request is reset, refused by status, or its
// connection ended.
func (s *stream) mustRefuse(t *testing.T) {
	t.Helper()
	const id = 1
	must(t, s.conn.SetDeadline(time.Now().Add(20*time.Second)))
	decoder := hpack.NewDecoder(4096, nil)
	for {
		f, err := s.ReadFrame()
		var late interface{ Timeout() bool }
		if errors.As(err, &late) && late.Timeout() {
			t.Error("there was no answer")
			return
		}
		if err != nil {
			return
		}
		switch f := f.(type) {
		case *http2.GoAwayFrame:
			return
		case *http2.RSTStreamFrame:
			if f.StreamID == id {
				return
			}
		case *http2.HeadersFrame:
			fields, err := decoder.DecodeFull(f.HeaderBlockFragment())
			must(t, err)
			if f.StreamID == id {
				if status := fields[0].Value; status[0] != '4' && status != "503" {
					t.Errorf("answered %s", status)
				}
				return
			}
		}
	}
}

func rapidReset(t *testing.T, w *world) {
	s := mustStream(t, w)
	header := s.header(t, ":method", "POST", ":path", "/webhook/open")
	var frames bytes.Buffer
	all := http2.NewFramer(&frames, nil)
	for i := range uint32(5_000) {
		must(t, all.WriteHeaders(http2.HeadersFrameParam{StreamID: 2*i + 1, BlockFragment: header, EndHeaders: true}))
		must(t, all.WriteRSTStream(2*i+1, http2.ErrCodeCancel))
	}
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		// It fails where the gateway ends the connection, which is as good.
		_, _ = s.conn.Write(frames.Bytes())
	}()
	go func() { _, _ = io.Copy(io.Discard, s.conn) }()
	for done := false; !done; {
		select {
		case <-sent:
			done = true
		default:
		}
		w.tls.mustServeHonestly(t)
		_, rest, _ := strings.Cut(w.tls.mustGet(t, "/metrics", bearer(tokenB)...).body, "\ngateway_webhooks_in_flight ")
		value, _, _ := strings.Cut(rest, "\n")
		if n, err := strconv.ParseFloat(value, 64); err != nil || n > 100 {
			t.Errorf("%q requests are worked on at once (%v)", value, err)
		}
	}
}
