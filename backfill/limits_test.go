package backfill

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

const limitedBody = `{"alerts":[{"startsAt":"2026-03-02T08:00:00Z"}]}`

func TestReadIsBounded(t *testing.T) {
	listed := `[{"labels":{"alertname":"A"},"startsAt":"2026-03-02T08:00:00Z"}` +
		strings.Repeat(`,{"labels":{"alertname":"A"},"startsAt":"2026-03-02T08:00:00Z"}`, 10) + "]"
	ranged := `{"status":"success","data":{"resultType":"matrix","result":[` +
		`{"metric":{"__name__":"ALERTS","alertname":"A","alertstate":"firing"},"values":[[0,"1"],[200000000000,"1"]]}]}}`
	line := int64(len(limitedBody))
	for _, row := range []struct {
		name, text, want string
		limits           limits
		webhooks         int
	}{
		{"lines as long as may be", limitedBody + "\r\n" + limitedBody + "\n" + limitedBody, "", limits{line: line}, 3},
		{"a line too long", limitedBody + "\n " + limitedBody, fmt.Sprintf("x: line 2: more than %d bytes; want one body a line", line), limits{line: line}, 1},
		{"a line without end", strings.Repeat(" ", 300_000), "x: empty; " + formats, limits{line: line}, 0},
		{"a line of much", `{"alerts":"` + strings.Repeat("x", 300_000), fmt.Sprintf("x: line 1: more than %d bytes; want one body a line", line), limits{line: line}, 0},
		{"a file as long as may be", listed, "", limits{file: int64(len(listed)), webhooks: 1}, 1},
		{"a file too long", listed, fmt.Sprintf("x: more than %d bytes; want less at once, such as one day a file", len(listed)-1), limits{file: int64(len(listed)) - 1, webhooks: 1}, 0},
		{"an answer too long", ranged, fmt.Sprintf("x: more than %d bytes; want less at once, such as one day a file", len(ranged)-1), limits{file: int64(len(ranged)) - 1}, 0},
		{"an array of bodies too long", "[" + limitedBody + "," + limitedBody + "]", "x: more than 60 bytes; want less at once, such as one day a file", limits{file: 60}, 0},
		{"pretty bodies too long", "{\n" + limitedBody[1:] + limitedBody, "x: more than 60 bytes; want less at once, such as one day a file", limits{line: line, file: 60}, 0},
		{"six thousand years", ranged, "x: more than 1000 webhooks come of it; want less time, or longer intervals", limits{file: MaxFile, webhooks: 1000}, 1000},
	} {
		t.Run(row.name, func(t *testing.T) {
			var last error
			n := 0
			for _, err := range read(strings.NewReader(row.text), "x", Options{}, row.limits) {
				if last = err; err == nil {
					n++
				}
			}
			if (last == nil) != (row.want == "") || last != nil && last.Error() != row.want {
				t.Errorf("got %v, want %q", last, row.want)
			}
			if n != row.webhooks {
				t.Errorf("%d webhooks, want %d", n, row.webhooks)
			}
		})
	}
}

// What lies between is jumped over, however long it is.
func TestReadJumps(t *testing.T) {
	text := `[{"metric":{"__name__":"ALERTS","alertname":"A","alertstate":"firing"},"values":[[0,"1"],[200000000000,"1"]]}]`
	n := 0
	for _, err := range Read(strings.NewReader(text), "x", Options{GroupInterval: time.Millisecond, RepeatInterval: 250 * 365 * 24 * time.Hour}) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	if want := 26; n != want {
		t.Errorf("%d webhooks, want %d", n, want)
	}
}
