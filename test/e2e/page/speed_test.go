package page_test

import (
	"fmt"
	"testing"

	"kubernaut.io/gateway/test/harness"
)

// budget is what each thing may take in the end with all that a gateway keeps,
// in milliseconds: far more than on an idle machine.
const budget = 5000

// TestTenThousandDecisions measures how the page does with as many decisions as
// a gateway keeps, and prints it.
func TestTenThousandDecisions(t *testing.T) {
	t.Parallel()
	g := shared.Start(t)
	const batch = 500
	alerts := make([]harness.Alert, batch)
	for i := range alerts {
		alerts[i] = harness.Firing(fmt.Sprintf("Fault%d", i%50), []string{"shop", "payments", "search", "sandbox"}[i%4], fmt.Sprintf("pod-%d", i%8), "severity", "warning")
	}
	for range 10_100 / batch {
		g.Post(t, "prometheus", harness.Webhook(alerts...))
	}
	b := newTab(t, 1440, 1000)
	measure := func(what, script string) {
		t.Helper()
		took := eval[float64](b, `(async () => { const began = performance.now(); `+script+`; return performance.now() - began; })()`)
		t.Logf("%-40s %7.1f ms", what, took)
		if took > budget {
			t.Errorf("%s took %.0f ms", what, took)
		}
	}
	b.open(g.AdminURL + "/")
	b.until(live)
	if text := eval[string](b, `document.querySelector('[data-kept]').textContent`); text != "10,000" {
		t.Errorf("%s are kept", text)
	}
	took := eval[float64](b, `performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd`)
	size := eval[float64](b, `performance.getEntriesByType('navigation')[0].decodedBodySize`)
	t.Logf("%-40s %7.1f ms, %.0f kB", "load", took, size/1000)
	const settled = `await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))`
	changed := func(do string) string {
		return `const list = document.getElementById('list'); ` + do + `;
			while (document.getElementById('list') === list) await new Promise((done) => setTimeout(done, 1)); ` + settled
	}
	measure("search, typing's pause of 150 ms included", changed(`const q = document.querySelector('[name=q]'); q.value = 'fault49 pod-1'; q.dispatchEvent(new Event('input', {bubbles: true}))`))
	measure("search for what is nowhere", changed(`const q = document.querySelector('[name=q]'); q.value = 'nowhere'; q.dispatchEvent(new Event('input', {bubbles: true}))`))
	measure("clear", changed(`document.getElementById('clear').click()`))
	measure("filter by outcome", changed(`document.querySelector('[value=duplicate]').click()`))
	for i := range 3 {
		measure(fmt.Sprintf("older, page %d", i+2), changed(`[...document.querySelectorAll('[data-list]')].find((a) => a.textContent === 'Older').click()`))
	}
	measure("newest", changed(`[...document.querySelectorAll('[data-list]')].find((a) => a.textContent === 'Newest').click()`))

	// The time between frames while the page is scrolled and decisions come in.
	b.until(live)
	b.exec(`window.frames = []; window.scrolled = (async () => {
		let last = performance.now();
		for (let i = 0; i < 240; i++) {
			await new Promise((done) => requestAnimationFrame(done));
			const now = performance.now(); window.frames.push(now - last); last = now;
			window.scrollTo(0, (i * 40) % document.documentElement.scrollHeight);
		}
	})(); 0`)
	for range 4 {
		g.Post(t, "prometheus", harness.Webhook(alerts...))
	}
	type frames struct{ P50, P95, Worst float64 }
	f := eval[frames](b, `window.scrolled.then(() => { const f = window.frames.sort((a, b) => a - b);
		return {P50: f[f.length >> 1], P95: f[Math.floor(f.length * .95)], Worst: f[f.length - 1]}; })`)
	t.Logf("frames while scrolling: p50 %.1f ms, p95 %.1f ms, worst %.1f ms", f.P50, f.P95, f.Worst)
	if f.P50 > budget/10 {
		t.Errorf("a frame takes %.0f ms", f.P50)
	}
	memory := eval[float64](b, `performance.memory.usedJSHeapSize`)
	t.Logf("JavaScript heap: %.1f MB, elements: %d", memory/1e6, eval[int](b, `document.querySelectorAll('*').length`))
}
