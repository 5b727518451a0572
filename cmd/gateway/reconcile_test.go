package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestReconcile: the executable lists what an Alertmanager has and it has not,
// asks before it has that taken in, and its exit code tells.
func TestReconcile(t *testing.T) {
	alertmanager := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintf(w, `[{"labels":{"alertname":"Lost\u001b[2J","namespace":"shop","pod":"cart-0","severity":"critical"},
"annotations":{},"startsAt":%q,"endsAt":"2090-01-01T00:00:00Z","updatedAt":"2026-01-01T00:00:00Z","fingerprint":"0c3c1d6d4a4b8a3f",
"receivers":[{"name":"gateway"}],"status":{"state":"active","silencedBy":[],"inhibitedBy":[]}}]`, time.Now().Add(-time.Hour).Format(time.RFC3339))
	}))
	t.Cleanup(alertmanager.Close)
	live := writeFile(t, "gateway.yaml", `webhooks: {address: "127.0.0.1:8080"}
sources:
- {name: prometheus, format: alertmanager, reconcile: {url: "`+alertmanager.URL+`", receiver: gateway}}
`)
	c, _ := startDevProcess(t, filepath.Join(t.TempDir(), "state"), "--config", live)
	admin := c.printed(t, `page +(http://\S+)/`)

	code, text := answering(t, "", "reconcile", "--admin", admin)
	for _, want := range []string{"1 of 1 signal that fire", `Lost\x1b[2J`, "Pod/shop/cart-0", "new episode", "has just started", "nothing accounts for 1 signal"} {
		if code != exitFailure || !strings.Contains(text, want) {
			t.Errorf("%d, without %q:\n%s", code, want, text)
		}
	}
	var answer struct {
		Sources []struct {
			Unaccounted int
			Signals     []struct{ Name, About, Reason string }
		}
	}
	_, text = answering(t, "", "reconcile", "--admin", admin, "-o", "json")
	if err := json.NewDecoder(strings.NewReader(text)).Decode(&answer); err != nil || answer.Sources[0].Unaccounted != 1 || answer.Sources[0].Signals[0].Name != "Lost\x1b[2J" {
		t.Errorf("%v: %s", err, text)
	}
	if code, text = answering(t, "no\n", "reconcile", "--admin", admin, "--take-in"); code != exitFailure || !strings.Contains(text, "nothing was taken in") {
		t.Errorf("somebody said no: %d %s", code, text)
	}
	if code, text = answering(t, "yes\n", "reconcile", "--admin", admin, "--take-in"); code != exitOK || !strings.Contains(text, "taken in: 1 signal") || !strings.Contains(text, "all is accounted for") {
		t.Errorf("somebody said yes: %d %s", code, text)
	}
	if code, text = answering(t, "", "reconcile", "--admin", admin, "--take-in", "--yes"); code != exitOK || strings.Contains(text, "Take in") {
		t.Errorf("nothing is left: %d %s", code, text)
	}
	response, err := http.Get(admin + "/")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if page, err := io.ReadAll(response.Body); err != nil || !strings.Contains(string(page), "Not accounted for") {
		t.Errorf("the page says nothing of it: %v", err)
	}
}

// TestReconcileTellsWhatFails: an Alertmanager that is away, a gateway that asks
// nobody, and what is no gateway.
func TestReconcileTellsWhatFails(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, answer string
		status       int
		want         []string
	}{
		{
			"never asked", `{"sources":[{"source":"a","from":"http://am","error":"ask http://am: \u001b[31mrefused"}]}`, http.StatusOK,
			[]string{"a: not known", `it can't be told now: ask http://am: \x1b[31mrefused`, "not all senders could be asked"},
		},
		{
			"away since", `{"sources":[{"source":"a","from":"http://am","at":"2026-03-02T12:00:00Z","error":"refused","unaccounted":2000,"firing":3000,"signals":[{"name":"A"}]}]}`, http.StatusOK,
			[]string{"2000 of 3000 signals", "refused", "unknown", "and 1999 more"},
		},
		{"asks nobody", "write reconcile to a source", http.StatusNotFound, []string{"write reconcile to a source"}},
		{"no gateway", "<html>", http.StatusOK, []string{"no gateway"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(test.status)
				_, _ = io.WriteString(w, test.answer)
			}))
			t.Cleanup(server.Close)
			code, text := answering(t, "", "reconcile", "--admin", server.URL)
			for _, want := range test.want {
				if code != exitFailure || !strings.Contains(text, want) {
					t.Errorf("%d, without %q:\n%s", code, want, text)
				}
			}
		})
	}
}
