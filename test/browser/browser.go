// Package browser looks at pages as people do: with a real Chromium, which
// `make test` installs.
package browser

import (
	"bytes"
	"context"
	_ "embed" // for the page around the one that is looked at
	"encoding/json"
	"html"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"text/template"
	"time"
)

// limit is some hundred times what a look takes on an idle machine.
const limit = 2 * time.Minute

// Sight is what there is to be seen of a page.
type Sight struct {
	// Frames are as wide as was asked for.
	Frames []Frame
	// Console are the browser's own words about the page: errors, warnings,
	// violations of its Content-Security-Policy.
	Console []string
	// Loaded are the paths of all that the page asked this server for.
	Loaded []string
}

// Frame is the page at one width, in CSS pixels, with all details unfolded.
type Frame struct {
	Width int
	// Needed is how wide it would have to be not to be scrolled sideways.
	Needed int
	// Text is what people read of it, and Faint those parts whose colour has a
	// contrast of less than 4.5 to what is behind them.
	Text  string
	Faint []string
	// Squeezed are texts that have no room for more than a few letters in a line.
	Squeezed []string
	// Scripts is how many scripts and attributes that are scripts there are.
	Scripts int
}

//go:embed frame.html
var frame string

var frameTemplate = template.Must(template.New("frame").Parse(frame))

// Look loads a page at each width, in a dark colour scheme or a light one. The
// test fails where there is no Chromium, or it can't be run.
func Look(tb testing.TB, page []byte, dark bool, widths ...int) Sight {
	tb.Helper()
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		tb.Fatalf("%v; scripts/setup-test.sh installs it", err)
	}
	var sight Sight
	var loaded sync.Mutex
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		switch r.URL.Path {
		case "/":
			_ = frameTemplate.Execute(w, widths) // a frame that is missing is found below
		case "/page":
			_, _ = w.Write(page)
		case "/favicon.ico": // the browser's own wish
			w.WriteHeader(http.StatusNoContent)
		default:
			loaded.Lock()
			defer loaded.Unlock()
			sight.Loaded = append(sight.Loaded, r.URL.Path)
			http.NotFound(w, r)
		}
	}))
	defer server.Close()
	dom, log := run(tb, chromium, server.URL, dark)
	for line := range strings.Lines(log) {
		if strings.Contains(line, "CONSOLE") {
			sight.Console = append(sight.Console, strings.TrimSpace(line))
		}
	}
	_, after, _ := strings.Cut(dom, `<pre id="frames">`)
	text, _, found := strings.Cut(after, "</pre>")
	if err := json.Unmarshal([]byte(html.UnescapeString(text)), &sight.Frames); err != nil || !found || len(sight.Frames) != len(widths) {
		tb.Fatalf("chromium has not shown %d frames: %v\n%s\n%s", len(widths), err, dom, log)
	}
	return sight
}

// run returns the document that a browser made of a URL, and what it logged.
func run(tb testing.TB, chromium, url string, dark bool) (dom, log string) {
	tb.Helper()
	home, err := os.MkdirTemp("", "gateway-browser-") //nolint:usetesting // its helpers may write a moment longer, which fails a test's own folder
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(home) }()
	ctx, cancel := context.WithTimeout(tb.Context(), limit)
	defer cancel()
	args := []string{
		"--headless=new", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-breakpad",
		"--no-sandbox", // which needs what containers do not have; the page is ours
		"--user-data-dir=" + home, "--window-size=1600,1000", "--enable-logging=stderr", "--dump-dom",
	}
	if dark {
		args = append(args, "--blink-settings=preferredColorScheme=0")
	}
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(ctx, chromium, append(args, url)...)
	cmd.Env = append(os.Environ(), "HOME="+home)
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = &out, &errs, 5*time.Second
	if err := cmd.Run(); err != nil {
		tb.Fatalf("chromium: %v\n%s", err, errs.String())
	}
	return out.String(), errs.String()
}
