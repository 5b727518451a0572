package page_test

import (
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"kubernaut.io/gateway/config"
	"kubernaut.io/gateway/test/harness"
)

// live is true of a page that is told what is new.
const live = `document.getElementById('live').classList.contains('on')`

// first is the text of the newest row.
const first = `(document.querySelector('#rows tr') || {innerText: ''}).innerText`

// TestPageIsLive: what is posted comes in by itself, can be filtered, and leads
// to its reasons and back.
func TestPageIsLive(t *testing.T) {
	t.Parallel()
	g := shared.Start(t)
	b := newTab(t, 1440, 1000)
	b.open(g.AdminURL + "/")
	b.until(live)
	if text := eval[string](b, `document.getElementById('decisions').innerText`); !strings.Contains(text, "Nothing has been decided") {
		t.Errorf("an idle gateway says %q", text)
	}
	alert := harness.Firing("HighErrorRate", "shop", "cart-0")
	answer := g.Post(t, "prometheus", harness.Webhook(alert))
	b.until(first + `.includes('HighErrorRate')`)
	if text := eval[string](b, first); !strings.Contains(text, "created") || !strings.Contains(text, "P0") || !strings.Contains(text, "production") {
		t.Errorf("the row says %q", text)
	}
	g.Post(t, "prometheus", harness.Webhook(alert, harness.Firing("Watchdog", "", "", "severity", "none")))
	b.until(`document.querySelectorAll('#rows tr').length === 3`)
	// What stands in the cluster is counted every 5 s.
	b.until(`document.querySelector('#r-production-P0') && document.querySelector('#r-production-P0').textContent === '1'`)
	b.until(`document.querySelector('#f-duplicate').closest('tr').innerText.match(/1\s+1\s*$/)`)
	b.until(`document.querySelector('.b-created')`) // the bar that was full by then

	b.do(chromedp.Click(chromedp.CSS(`#filter input[value=duplicate]`)))
	b.until(`document.querySelectorAll('#rows tr').length === 1 && location.search === '?outcome=duplicate'`)
	b.until(live)
	g.Post(t, "prometheus", harness.Webhook(alert, harness.Firing("Other", "shop", "cart-1")))
	b.until(`document.querySelectorAll('#rows tr').length === 2`)
	if text := eval[string](b, `document.getElementById('result').textContent`); text != "2 of 5 decisions match" {
		t.Errorf("it says %q", text)
	}
	b.do(chromedp.Click(chromedp.CSS(`#clear`)))
	b.until(`document.querySelectorAll('#rows tr').length === 5`)
	b.do(chromedp.SendKeys(chromedp.CSS(`#filter input[name=q]`), "cart-1 OTHER"))
	b.until(`document.querySelectorAll('#rows tr').length === 1`)
	b.harmless()

	b.open(g.AdminURL + "/?outcome=created&q=HighErrorRate")
	b.do(chromedp.Click(chromedp.CSS(`#rows tr td.c-reason`))) // all of a row leads there
	b.until(`location.pathname.startsWith('/explain/') && document.querySelectorAll('.chain li').length > 5`)
	text := eval[string](b, `document.querySelector('.explanation').innerText`)
	for _, want := range []string{"created", "new episode", "HighErrorRate", answer.Signals[0].RemediationRequest.Name, answer.RequestID, "matrix.priority"} {
		if !strings.Contains(text, want) {
			t.Errorf("the explanation lacks %q", want)
		}
	}
	// The very decision is the first that is told, and is none of another fault's.
	decision := eval[string](b, `new URLSearchParams(location.search).get('decision')`)
	b.do(chromedp.NavigateBack())
	b.until(`location.search.includes('q=HighErrorRate') && document.querySelectorAll('#rows tr').length === 1`)
	b.harmless()
	other := g.Post(t, "prometheus", harness.Webhook(harness.Firing("Third", "shop", "cart-3")))
	b.open(g.AdminURL + "/explain/" + other.Signals[0].Fingerprint + "?decision=" + decision)
	text = eval[string](b, `document.querySelector('main').innerText`)
	if !strings.Contains(text, "not in memory any more") || strings.Contains(text, "HighErrorRate") || !strings.Contains(text, "Third") {
		t.Errorf("a decision about something else is told as\n%s", text)
	}
}

// hostileTexts end what they stand in, each in another place, and are as long as
// they may be.
func hostileTexts() []string {
	texts := []string{
		`<script>window.hostile=1</script>`,
		`"><img src=x onerror="window.hostile=1">`,
		`' onmouseover='window.hostile=1' x='`,
		`</title></table><svg onload=window.hostile=1>`,
		`javascript:window.hostile=1//`,
		"\u202egnorw yaw eht\u202c",
		strings.Repeat("W", 200),
	}
	return texts
}

// TestHostileTextsAreText: whatever stands in an alert, the page shows it, runs
// none of it, and stays as wide as its window.
func TestHostileTextsAreText(t *testing.T) {
	t.Parallel()
	g := shared.Start(t)
	b := newTab(t, 1440, 1000)
	b.open(g.AdminURL + "/")
	b.until(live)
	for _, text := range hostileTexts() {
		alert := harness.Firing(text, "shop", text, "severity", text[:min(len(text), 50)], "environment", text, text, text)
		unnamed := harness.Firing("", text, text)
		g.Post(t, "prometheus", harness.Webhook(alert, unnamed))
	}
	b.until(fmt.Sprintf(`document.querySelectorAll('#rows tr').length === %d`, 2*len(hostileTexts())))
	links := eval[[]string](b, `[...document.querySelectorAll('#rows a')].map((a) => a.href)`)
	if len(links) != 2*len(hostileTexts()) {
		t.Errorf("%d lead on", len(links))
	}
	for _, width := range []int64{1440, 390} {
		b.do(chromedp.EmulateViewport(width, 900))
		for _, text := range hostileTexts() {
			b.open(g.AdminURL + "/?q=" + url.QueryEscape(strings.Fields(text)[0]))
			b.until(live)
			if n := eval[int](b, `document.querySelectorAll('#rows tr').length`); n == 0 {
				t.Errorf("%q is not found", text)
			}
			b.fits(fmt.Sprintf("the page at %d with %.20q", width, text))
			b.harmless()
		}
		for _, link := range links {
			b.open(link)
			if n := eval[int](b, `document.querySelectorAll('.chain li').length`); n < 2 {
				t.Errorf("%s has a chain of %d", link, n)
			}
			b.fits(fmt.Sprintf("%s at %d", link, width))
			b.harmless()
		}
	}
}

// TestWidths: with much going on, no page is wider than its window, light or dark.
func TestWidths(t *testing.T) {
	t.Parallel()
	g := shared.Start(t)
	traffic(t, g)
	b := newTab(t, 1440, 1000)
	for _, width := range []int64{1440, 1024, 768, 390, 320} {
		b.do(chromedp.EmulateViewport(width, 844))
		for _, scheme := range []string{"light", "dark"} {
			b.scheme(scheme)
			b.open(g.AdminURL + "/")
			b.until(live + ` && document.querySelector('.storm')`)
			b.exec(`for (const d of document.querySelectorAll('details')) d.open = true`)
			b.fits(fmt.Sprintf("%d %s", width, scheme))
			b.readable(fmt.Sprintf("%d %s", width, scheme))
		}
	}
	b.harmless()
}

// readable fails where text has too little contrast with what is behind it: by
// WCAG 2.2, 4.5 to 1.
func (b *tab) readable(what string) {
	b.t.Helper()
	faint := eval[[]string](b, `(() => {
		const parse = (c) => (c.match(/[\d.]+/g) || []).map(Number);
		const light = ([r, g, b]) => [r, g, b].map((v) => v / 255).map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
			.reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
		const ground = (e) => {
			for (; e; e = e.parentElement) {
				const c = parse(getComputedStyle(e).backgroundColor);
				if (c.length === 3 || c[3] === 1) return c;
			}
			return [255, 255, 255];
		};
		const found = new Set();
		for (const e of document.querySelectorAll('main *, header *, footer *')) {
			const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
			if (!own || !e.checkVisibility() || e.closest('.hidden')) continue;
			const a = light(parse(e instanceof SVGElement ? getComputedStyle(e).fill : getComputedStyle(e).color));
			const z = light(ground(e));
			const ratio = (Math.max(a, z) + 0.05) / (Math.min(a, z) + 0.05);
			if (ratio < 4.5) found.add(e.tagName + '.' + e.className.toString() + ' ' + ratio.toFixed(2) + ' ' + e.textContent.slice(0, 20));
		}
		return [...found];
	})()`)
	for _, text := range faint {
		b.t.Errorf("%s: too faint: %s", what, text)
	}
}

// TestWithoutScript: a browser that runs none shows the same, and filters by a
// form.
func TestWithoutScript(t *testing.T) {
	t.Parallel()
	g := shared.Start(t)
	traffic(t, g)
	b := newTab(t, 1440, 1000)
	call(b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	b.open(g.AdminURL + "/")
	page := func() string { return run(b, chromedp.OuterHTML(chromedp.CSS("html"))) }
	if n := strings.Count(page(), `<tr role="row" class="o-`); n < 50 {
		t.Errorf("%d rows", n)
	}
	b.do(chromedp.Click(chromedp.CSS(`#filter input[value=member]`)), chromedp.Click(chromedp.CSS(`#filter .apply`)),
		chromedp.WaitVisible(chromedp.CSS(`[data-matching]`)))
	html := page()
	members := strings.Count(html, `<tr role="row" class="o-member"`)
	if all := strings.Count(html, `<tr role="row" class="o-`); members == 0 || all != members {
		t.Errorf("%d rows, %d of them members", all, members)
	}
	b.do(chromedp.Click(chromedp.CSS(`#rows a`)), chromedp.WaitVisible(chromedp.CSS(`.chain`)))
}

// TestKeyboardAndScreenReader: all can be reached by keys, in their order, and
// everything that can be used has a name.
func TestKeyboardAndScreenReader(t *testing.T) {
	t.Parallel()
	g := shared.Start(t)
	traffic(t, g)
	b := newTab(t, 1440, 1000)
	b.open(g.AdminURL + "/")
	b.until(live + ` && document.querySelector('.storm')`)

	b.do(chromedp.KeyEvent(kb.Tab))
	if text := eval[string](b, `document.activeElement.textContent`); text != "Skip to the decisions" {
		t.Errorf("the first stop is %q", text)
	}
	b.do(chromedp.KeyEvent(kb.Enter), chromedp.KeyEvent(kb.Tab))
	b.until(`document.activeElement.closest('#rows tr:first-child')`)
	b.do(chromedp.KeyEvent(kb.ArrowDown), chromedp.KeyEvent(kb.ArrowDown), chromedp.KeyEvent(kb.ArrowUp))
	b.until(`document.activeElement.closest('#rows tr:nth-child(2)')`)

	// What comes meanwhile takes nothing away from who reads a row, and is shown after.
	before := eval[int](b, `document.querySelectorAll('#rows tr').length`)
	g.Post(t, "prometheus", harness.Webhook(harness.Firing("Newcomer", "shop", "cart-0")))
	b.until(`document.getElementById('pause').textContent === 'Show 1 new'`)
	if n := eval[int](b, `document.querySelectorAll('#rows tr').length`); n != before {
		t.Errorf("%d rows became %d under the reader", before, n)
	}
	b.exec(`document.activeElement.blur()`)
	b.until(first + `.includes('Newcomer') && document.getElementById('pause').textContent === 'Pause'`)

	// A plot is read by the arrow keys.
	b.exec(`document.getElementById('plot-rates').focus()`)
	b.do(chromedp.KeyEvent(kb.ArrowLeft))
	b.until(`/^\d\d:\d\d:\d\d/.test(document.querySelector('#plot-rates [data-readout]').textContent)`)

	b.named()
	b.open(eval[string](b, `document.querySelector('#rows a').href`))
	b.named()
}

// named fails where something that can be used has no name for a screen reader.
func (b *tab) named() {
	b.t.Helper()
	tree := call(b, accessibility.GetFullAXTree, accessibility.GetFullAXTreeParams{})
	roles := make(map[string]int)
	for _, node := range tree.Nodes {
		if node.Ignored || node.Role == nil {
			continue
		}
		role := strings.Trim(string(node.Role.Value), `"`)
		roles[role]++
		if slices.Contains([]string{"link", "button", "checkbox", "combobox", "searchbox", "textbox", "region", "figure"}, role) &&
			(node.Name == nil || strings.Trim(string(node.Name.Value), `" `) == "") {
			b.t.Errorf("a %s has no name", role)
		}
	}
	if roles["heading"] < 2 || roles["main"] != 1 || roles["banner"] != 1 || roles["navigation"] != 1 || roles["link"] < 3 {
		b.t.Errorf("roles: %v", roles)
	}
}

// TestPauseAndStorms: a list that is paused stands still, and a storm that was
// opened stays open while the page goes on.
func TestPauseAndStorms(t *testing.T) {
	t.Parallel()
	g := shared.Start(t)
	traffic(t, g)
	b := newTab(t, 1440, 1000)
	b.open(g.AdminURL + "/")
	b.until(live + ` && document.querySelector('.storm')`)
	b.do(chromedp.Click(chromedp.CSS(`.storm summary`)), chromedp.Click(chromedp.CSS(`#pause`)))
	members := eval[int](b, `document.querySelectorAll('.storm[open] .members li').length`)
	g.Post(t, "prometheus", harness.Webhook(harness.Firing("KubePodNotReady", "payments", "ledger-99", "severity", "warning")))
	b.until(fmt.Sprintf(`document.querySelectorAll('.storm[open] .members li').length === %d`, members+1))
	b.until(`document.getElementById('pause').textContent === 'Show 1 new'`)
	if text := eval[string](b, first); strings.Contains(text, "ledger-99") {
		t.Error("a list that is paused went on")
	}
	b.do(chromedp.Click(chromedp.CSS(`#pause`)))
	b.until(first + `.includes('ledger-99')`)
}

// TestPageComesBack: where the gateway is away the page says so, and is that of
// the next one when it is back, by itself.
func TestPageComesBack(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	there := func(c *config.Config) { c.Admin.Address = address }
	g := shared.Start(t, there)
	b := newTab(t, 1440, 1000)
	b.open(g.AdminURL + "/")
	b.until(live)
	g.Post(t, "prometheus", harness.Webhook(harness.Firing("Before", "shop", "cart-0")))
	b.until(first + `.includes('Before')`)
	b.away(true)
	began := time.Now()
	g.Stop(t)
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("to stop with somebody looking took %s", took)
	}
	b.until(`document.getElementById('live').classList.contains('off')`)
	next := shared.StartIn(t, g.Namespace, shared.REST, there)
	b.until(live + ` && !document.getElementById('rows').children.length`)
	b.away(false)
	next.Post(t, "prometheus", harness.Webhook(harness.Firing("After", "shop", "cart-0")))
	b.until(first + `.includes('After')`)
	b.harmless()
	b.open("about:blank") // before the gateway ends
}
