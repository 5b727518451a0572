package page_test

import (
	"context"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/log"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"kubernaut.io/gateway/test/harness"
)

// patience bounds all that a browser does in a test.
const patience = 3 * time.Minute

// watch has a page keep what its Content-Security-Policy forbade.
const watch = `window.violations = []; document.addEventListener('securitypolicyviolation',
	(e) => window.violations.push(e.violatedDirective + ' ' + e.blockedURI + ' ' + e.sample));`

// tab is a page in a browser, and what went wrong in it.
type tab struct {
	t   testing.TB
	ctx context.Context

	mu       sync.Mutex
	problems []string
	// offline takes that what is asked for can't be had.
	offline bool
}

// newTab opens a browser of its own. What went wrong in it fails the test at its
// end.
func newTab(t *testing.T, width, height int64) *tab {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatalf("chromium is not installed; run `make setup`: %v", err)
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.WindowSize(int(width), int(height)),
		// It opens nothing but the gateway's own page, and root has no sandbox.
		chromedp.NoSandbox,
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND , EXCLUDE 127.0.0.1"),
	)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	ctx, stop := chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(stop)
	ctx, closeTab := chromedp.NewContext(ctx)
	t.Cleanup(closeTab)
	b := &tab{t: t, ctx: ctx}
	if err := chromedp.Listen(ctx, b.hear); err != nil {
		t.Fatal(err)
	}
	call(b, log.Enable, struct{}{})
	call(b, runtime.Enable, struct{}{})
	call(b, cdppage.AddScriptToEvaluateOnNewDocument, cdppage.AddScriptToEvaluateOnNewDocumentParams{Source: watch})
	b.do(chromedp.EmulateViewport(width, height))
	t.Cleanup(b.check)
	return b
}

// hear notes what a page complains of. It is called while the browser waits.
func (b *tab) hear(event any) {
	problem := ""
	switch e := event.(type) {
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError || e.Entry.Level == log.EntryLevelWarning {
			problem = string(e.Entry.Source) + ": " + e.Entry.Text + " " + e.Entry.URL
		}
	case *runtime.EventExceptionThrown:
		problem = "exception: " + e.ExceptionDetails.Text
		if of := e.ExceptionDetails.Exception; of != nil {
			problem += " " + of.Description
		}
	case *runtime.EventConsoleAPICalled:
		problem = "console: " + string(e.Type)
	case *cdppage.EventJavascriptDialogOpening:
		problem = "a dialog opened: " + e.Message
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if problem != "" && (!b.offline || !strings.HasPrefix(problem, "network:")) {
		b.problems = append(b.problems, problem)
	}
}

// away says whether the gateway may be away from now on.
func (b *tab) away(away bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.offline = away
}

// check fails the test for all that went wrong.
func (b *tab) check() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range b.problems {
		b.t.Errorf("the browser says: %s", p)
	}
}

func (b *tab) do(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, actions...); err != nil {
		b.t.Fatal(err)
	}
}

// open loads a page, whole.
func (b *tab) open(url string) {
	b.t.Helper()
	b.do(chromedp.Navigate(url))
}

// run returns what an action does.
func run[T any](b *tab, action chromedp.Action[T]) T {
	b.t.Helper()
	result, err := chromedp.Run(b.ctx, action)
	if err != nil {
		b.t.Fatal(err)
	}
	return result
}

// eval returns what a script in the page returns, a promise's result included.
func eval[T any](b *tab, script string) T {
	b.t.Helper()
	return run(b, chromedp.Evaluate[T](script, chromedp.EvalAwaitPromise))
}

// exec runs a script in the page.
func (b *tab) exec(script string) {
	b.t.Helper()
	b.do(chromedp.Evaluate[chromedp.Void](script, chromedp.EvalAwaitPromise))
}

// until waits for a condition in the page, over reloads.
func (b *tab) until(condition string) {
	b.t.Helper()
	came := false
	defer func() {
		if !came {
			text, _ := chromedp.Run(b.ctx, chromedp.Evaluate[string]("document.body.innerText.slice(0, 3000)"))
			b.t.Logf("the page says\n%s", text)
		}
	}()
	harness.Eventually(b.t, condition, func() bool {
		holds, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool]("!!("+condition+")"))
		return err == nil && holds
	})
	came = true
}

// harmless fails where something was forbidden, or run that should not be.
func (b *tab) harmless() {
	b.t.Helper()
	if found := eval[[]string](b, "window.violations"); len(found) > 0 {
		b.t.Errorf("the policy of the page was violated: %q", found)
	}
	if eval[bool](b, "'hostile' in window") {
		b.t.Error("what a sender wrote was run as a script")
	}
}

// fits fails where a page is wider than its window.
func (b *tab) fits(what string) {
	b.t.Helper()
	type box struct {
		Width, Inner int
		Over         []string
	}
	got := eval[box](b, `(() => {
		const Inner = document.documentElement.clientWidth;
		const over = [...document.body.querySelectorAll('*')].filter((e) =>
			e.getBoundingClientRect().right > Inner + 1 && !e.closest('.decisions td, .decisions thead, #panel-sources table, svg, .hidden'));
		return {Width: document.documentElement.scrollWidth, Inner, Over: over.map((e) => e.tagName + '.' + e.className).slice(0, 5)};
	})()`)
	if got.Width > got.Inner || len(got.Over) > 0 {
		b.t.Errorf("%s: %d wide in a window of %d; too wide: %q", what, got.Width, got.Inner, got.Over)
	}
}
