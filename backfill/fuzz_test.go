package backfill_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kubernaut.io/gateway/adapter/alertmanager"
	"kubernaut.io/gateway/backfill"
)

// enough is how many webhooks of one input are looked at.
const enough = 200

func FuzzRead(f *testing.F) {
	files, err := filepath.Glob("testdata/*.json*")
	if err != nil || len(files) == 0 {
		f.Fatal(files, err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text), int64(0))
	}
	for _, row := range badInputs {
		f.Add(row.text, int64(time.Second))
	}
	f.Add(queried(firing("a", 0, 1, 2, 8, 9), serie("ALERTS_FOR_STATE", "", "a", "1772438300", 0)), int64(time.Millisecond))
	f.Add(oneA+"\n"+oneC+"\n"+`{"time":"2026-03-02T10:30:00Z","body":`+oneB+"}", int64(0))

	f.Fuzz(func(t *testing.T, text string, interval int64) {
		var summary backfill.Summary
		o := backfill.Options{GroupInterval: time.Duration(interval), RepeatInterval: time.Duration(interval), Summary: &summary}
		var last time.Time
		n := 0
		for w, err := range backfill.Read(strings.NewReader(text), "name", o) {
			if err != nil {
				if !strings.HasPrefix(err.Error(), "name: ") || len(err.Error()) > 2_000 || w.Body != nil {
					t.Errorf("error %q beside %+v", err, w)
				}
				break
			}
			if n++; n > enough {
				break
			}
			if w.At.Before(last) || !json.Valid(w.Body) || summary.Webhooks != n {
				t.Fatalf("%d (%d): %s after %s: %q", n, summary.Webhooks, w.At, last, w.Body)
			}
			last = w.At
			if summary.Format != "Alertmanager webhook bodies" {
				checkMade(t, w.Body)
			}
		}
	})
}

// checkMade holds that the adapter takes all of a body that was made here.
func checkMade(t *testing.T, body []byte) {
	t.Helper()
	b, err := alertmanager.Decode(body)
	if err != nil || len(b.Signals) == 0 {
		t.Fatalf("%d signals, %v: %s", len(b.Signals), err, body)
	}
	for i, s := range b.Signals {
		if s.Err != nil {
			t.Errorf("signal %d: %v: %s", i, s.Err, body)
		}
	}
}
