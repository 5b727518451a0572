package attack

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// sources are one of each format, which ask for no credentials.
var sources = []string{"open", "events", "grafana", "cloudevents", "json"}

// everywhere posts a body to a source of each format; all have to answer so.
func everywhere(body string, wanted ...int) func(*testing.T, *world) {
	return func(t *testing.T, w *world) {
		w.plain.mustNotGrow(t, 300<<20, func() {
			for _, source := range sources {
				began := time.Now()
				w.plain.mustPost(t, source, body).mustBe(t, wanted...)
				if took := time.Since(began); took > 10*time.Second {
					t.Errorf("%s took %v", source, took)
				}
			}
		})
	}
}

var bodyAttacks = []attack{
	{
		name: "announced too large", does: "a length of 1 TiB", must: "413 at once",
		run: func(t *testing.T, w *world) {
			conn := mustDial(t, w.plain.hooks)
			_, err := fmt.Fprintf(conn, "POST /webhook/open HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", 1<<40)
			must(t, err)
			must(t, conn.(*net.TCPConn).CloseWrite())
			mustBeOnly(t, answers(t, conn), 413)
		},
	},
	{
		name: "chunked oversize", does: "chunks without end", must: "413 or the connection's end, and memory does not grow",
		run: func(t *testing.T, w *world) {
			w.plain.mustNotGrow(t, 100<<20, func() {
				conn := mustDial(t, w.plain.hooks)
				_, err := io.WriteString(conn, "POST /webhook/open HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
				must(t, err)
				must(t, conn.SetWriteDeadline(time.Now().Add(20*time.Second)))
				chunk := "10000\r\n" + strings.Repeat(" ", 0x10000) + "\r\n"
				for range 10_000 {
					if _, err = io.WriteString(conn, chunk); err != nil {
						break
					}
				}
				if err == nil {
					t.Error("600 MiB were taken")
				}
				mustBeOnly(t, answers(t, conn), 413)
			})
		},
	},
	{
		name: "gzip bomb", does: "100 MiB of blanks compressed to less than 1 MB, as gzip, deflate, br, zstd, and as Transfer-Encoding", must: "415 or 501 unread, and memory does not grow",
		run: func(t *testing.T, w *world) {
			bomb := bomb(t)
			w.plain.mustNotGrow(t, 100<<20, func() {
				for _, encoding := range []string{"gzip", "GZIP", "x-gzip", "deflate", "br", "zstd", "gzip, gzip", "identity, gzip"} {
					w.plain.mustPost(t, "open", bomb, "Content-Encoding", encoding).mustBe(t, 415)
				}
				mustBeOnly(t, raw(t, w.plain.hooks, "POST /webhook/open HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"), 501, 400)
			})
		},
	},
	{
		name: "second Content-Encoding", does: "identity in one header and gzip in the next", must: "415",
		run: func(t *testing.T, w *world) {
			w.plain.mustPost(t, "open", "{}", "Content-Encoding", "identity", "Content-Encoding", "gzip").mustBe(t, 415)
		},
	},
	{
		name: "gzip that is not said", does: "a compressed body without saying so", must: "400, it is not unpacked",
		run: func(t *testing.T, w *world) { everywhere(bomb(t)[:100_000], 400)(t, w) },
	},
	{
		name: "deep JSON", does: "lists within lists, 200,000 deep, and objects 100,000 deep, to every format", must: "400 in time, and the process lives",
		run: func(t *testing.T, w *world) {
			everywhere(strings.Repeat("[", 200_000)+strings.Repeat("]", 200_000), 400)(t, w)
			everywhere(strings.Repeat(`{"a":`, 100_000)+"1"+strings.Repeat("}", 100_000), 400)(t, w)
			everywhere(`{"alerts":[{"labels":`+strings.Repeat("[", 200_000), 400)(t, w)
		},
	},
	{
		name: "hash flood", does: "an object of 60,000 names, as labels and as a document, to every format", must: "it is answered in time",
		run: func(t *testing.T, w *world) {
			var b strings.Builder
			for i := range 60_000 {
				fmt.Fprintf(&b, `"k%06d":1,`, i)
			}
			everywhere("{"+b.String()+`"name":"x"}`, 201, 202, 400)(t, w)
			labels := strings.ReplaceAll(b.String(), ":1,", `:"",`)
			labels = labels[:strings.LastIndex(labels, ",")]
			w.plain.mustPost(t, "open", `{"alerts":[{"labels":{"alertname":"`+unique()+`",`+labels+`}}]}`).mustBe(t, 201, 202, 400)
		},
	},
	{
		name: "duplicate names", does: "labels, alertname and alerts given twice", must: "rejected by the name of the field; nothing is done",
		run: func(t *testing.T, w *world) {
			name := unique()
			for _, body := range []string{
				`{"alerts":[{"labels":{"alertname":"` + name + `","alertname":"Other"}}]}`,
				`{"alerts":[{"labels":{"alertname":"Other"},"labels":{"alertname":"` + name + `"}}]}`,
				`{"alerts":[],"alerts":[{"labels":{"alertname":"` + name + `"}}]}`,
				`{"alerts":[{"labels":{"alertname":"` + name + `","\u0061lertname":"Other"}}]}`,
			} {
				a := w.plain.mustPost(t, "open", body)
				a.mustBe(t, 400)
				if !strings.Contains(a.body, "given twice") {
					t.Errorf("told %s", a.body)
				}
			}
			w.plain.mustHaveNone(t, name)
		},
	},
	{
		name: "bytes that are no UTF-8", does: "a label with stray and overlong bytes, a lone surrogate", must: "rejected or made valid; whatever is kept is UTF-8",
		run: func(t *testing.T, w *world) {
			for _, value := range []string{"\xff\xfe", "\xc0\xaf", `\ud800`, "\xed\xa0\x80"} {
				name := unique()
				w.plain.mustPost(t, "open", `{"alerts":[{"labels":{"alertname":"`+name+`","pod":"`+value+`","namespace":"shop"}}]}`).mustBe(t, 400, 201)
				for _, one := range w.plain.requests(t, name) {
					if kept, err := json.Marshal(one.Object); err != nil || !json.Valid(kept) {
						t.Errorf("kept is %s", kept)
					}
				}
			}
		},
	},
	{
		name: "huge numbers", does: "numbers of 100,000 digits and exponents of 999,999,999, to every format", must: "400, or taken as far as it can be; the process lives",
		run: func(t *testing.T, w *world) {
			for _, n := range []string{strings.Repeat("9", 100_000), "1e999999999", "-1e-999999999", "0." + strings.Repeat("0", 100_000) + "1"} {
				everywhere(`{"name":`+n+`,"alerts":[],"truncatedAlerts":`+n+`}`, 400, 201)(t, w)
				w.plain.mustPost(t, "open", `{"truncatedAlerts":`+n+`,"alerts":[{"labels":{"alertname":"`+unique()+`"}}]}`).mustBe(t, 201)
			}
		},
	},
	{
		name: "empty alerts", does: "300,000 alerts with nothing in them; lists of 400,000 values", must: "400 in time, and memory does not grow",
		run: func(t *testing.T, w *world) {
			everywhere(`{"alerts":[`+strings.Repeat("{},", 300_000)+`{}]}`, 400)(t, w)
			everywhere("["+strings.Repeat("0,", 400_000)+"0]", 400)(t, w)
		},
	},
	{
		name: "not JSON", does: "XML with an entity that grows, YAML with anchors, a form, UTF-16, JSON with something behind it", must: "400, or 415 by its Content-Type",
		run: func(t *testing.T, w *world) {
			for _, body := range []string{
				`<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><x>&b;</x>`, "a: &a [x]\nb: *a\nalerts: []", "alerts=1", "\xff\xfe{\x00}\x00",
				alert(unique(), "cart") + alert(unique(), "cart"), "\ufeff{}", "",
			} {
				everywhere(body, 400)(t, w)
			}
			for _, kind := range []string{"text/plain", "application/xml", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/json-seq"} {
				w.plain.mustPost(t, "open", alert(unique(), "cart"), "Content-Type", kind).mustBe(t, 415)
			}
		},
	},
	{
		name: "times", does: "starts in year 0, 9999, 99999, in no year, and ends before starts", must: "each is taken or rejected by name; the process lives",
		run: func(t *testing.T, w *world) {
			for _, at := range []string{"0000-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "99999-01-01T00:00:00Z", "-1", "2026-02-30T00:00:00Z", "2026-01-01T00:00:00+99:99"} {
				w.plain.mustPost(t, "open", `{"alerts":[{"labels":{"alertname":"`+unique()+`"},"startsAt":"`+at+`","endsAt":"1970-01-01T00:00:00Z"}]}`).mustBe(t, 201, 400)
			}
		},
	},
}

// bomb is 100 MiB of blanks, compressed.
func bomb(t *testing.T) string {
	t.Helper()
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestSpeed)
	must(t, err)
	blanks := bytes.Repeat([]byte(" "), 1<<20)
	for range 100 {
		_, err = z.Write(blanks)
		must(t, err)
	}
	must(t, z.Close())
	return b.String()
}
