package replay

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"

	"golang.org/x/net/html"

	gateway "kubernaut.io/gateway"
	"kubernaut.io/gateway/terminal"
	"kubernaut.io/gateway/test/browser"
)

// htmlOf returns a page, balanced, and its document.
func htmlOf(tb testing.TB, o *HTMLOptions) (string, *html.Node) {
	tb.Helper()
	var b bytes.Buffer
	if err := WriteHTML(&b, o); err != nil {
		tb.Fatal(err)
	}
	var open []string
	for z := html.NewTokenizer(strings.NewReader(b.String())); z.Next() != html.ErrorToken; {
		switch token := z.Token(); {
		case token.Type == html.StartTagToken && !slices.Contains([]string{"meta", "br"}, token.Data):
			open = append(open, token.Data)
		case token.Type != html.EndTagToken:
		case len(open) == 0 || open[len(open)-1] != token.Data:
			tb.Fatalf("</%s> ends one of %v", token.Data, open)
		default:
			open = open[:len(open)-1]
		}
	}
	if len(open) > 0 {
		tb.Fatalf("not ended: %v", open)
	}
	root, err := html.Parse(strings.NewReader(b.String()))
	if err != nil {
		tb.Fatal(err)
	}
	return b.String(), root
}

// written returns what a page says in its elements of a name, in their order.
func written(root *html.Node, name string) []string {
	var all []string
	for n := range root.Descendants() {
		if n.Type == html.ElementNode && n.Data == name {
			all = append(all, strings.Join(strings.Fields(content(n)), " "))
		}
	}
	return all
}

func content(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			b.WriteString(d.Data)
		}
	}
	return b.String()
}

func attribute(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

// table returns the numbers of a page's table with such a word in its caption or
// its first cell, by the first cell of each row.
func table(tb testing.TB, root *html.Node, word string) map[string][]int {
	tb.Helper()
	for n := range root.Descendants() {
		if n.Data != "table" || !slices.ContainsFunc(append(written(n, "caption"), written(n, "th")[0]), func(s string) bool { return strings.Contains(s, word) }) {
			continue
		}
		rows := make(map[string][]int)
		for r := range n.Descendants() {
			if r.Data != "tr" || len(written(r, "td")) == 0 {
				continue
			}
			name := written(r, "th")[0]
			for _, cell := range written(r, "td") {
				if count, err := strconv.Atoi(strings.ReplaceAll(cell, ",", "")); err == nil {
					rows[name] = append(rows[name], count)
				}
			}
		}
		return rows
	}
	tb.Errorf("there is no table of %s", word)
	return nil
}

// hostile are texts that would be more than text where they are not escaped.
var hostile = []string{
	`<script>alert(1)</script>`, `"onload="alert(1)`, `'onmouseover='alert(1)`, `--></style><style>*{display:none}</style>`,
	`</title><svg onload=alert(1)>`, `<img src=http://example.com/x.png>`, "`${alert(1)}`", `{{.}}`, `]]><a href="javascript:alert(1)">x</a>`,
	`&lt;b&gt;`, "\x00\u202e\x1b[31m\xff", `<!--`, strings.Repeat("x", 5000), "", ` `,
}

// evil returns what two runs made of signals that are all hostile, in all fields
// that a sender or people may write.
func evil() *HTMLOptions {
	o := &HTMLOptions{Report: NewReport(), Before: NewReport(), Diff: NewDiff(), Check: &Check{Exact: true}}
	for i, text := range hostile {
		one := judgedAs(created(text, gateway.Priority(text), gateway.Path(text)), gateway.Judged{PathFrom: text, PolicyReason: text})
		one.Reason, one.Detail = gateway.Reason(text), text
		before := decided(morning.Add(time.Duration(i)*time.Hour), text, one)
		before.Request, before.Signal.Name, before.Signal.Severity = text, text, text
		before.Signal.Resource.Kind, before.Signal.Resource.Name = text, text
		after := again(before, func(d *gateway.Decision) { d.Environment, d.Reason = text+"!", "not "+gateway.Reason(text) })
		silent := again(before, func(d *gateway.Decision) { d.Outcome, d.Opened = gateway.Suppressed, false })
		o.Before.Add(before)
		o.Report.Add(after)
		o.Report.Add(silent)
		o.Diff.Add(before, after)
		o.Diff.Add(before, silent)
		o.Check.Add(&Mismatch{Request: text, Live: before.Decision, Replayed: after.Decision, Why: text}, false)
		o.Recordings, o.Warnings = append(o.Recordings, text), append(o.Warnings, text)
	}
	o.Tried, o.Baseline = hostile[0], hostile[1]
	return o
}

// pages are what there may be to tell.
func pages(tb testing.TB) map[string]*HTMLOptions {
	tb.Helper()
	before, after := day(false), day(true)
	many := &HTMLOptions{Report: NewReport(), Before: NewReport(), Diff: NewDiff(), Check: &Check{}, Tried: "new.yaml", Baseline: "old.yaml"}
	for one := range madeUp(1, 400) {
		other := again(one, func(d *gateway.Decision) { d.Environment += strconv.Itoa(many.Report.Signals % 150) })
		many.Before.Add(one)
		many.Report.Add(other)
		many.Diff.Add(one, other)
		many.Check.Add(&Mismatch{Live: one.Decision, Replayed: other.Decision}, false)
	}
	var conditions []Condition
	for _, text := range []string{"created>+20%", "differences>10"} {
		c, err := ParseFailIf(text)
		if err != nil {
			tb.Fatal(err)
		}
		conditions = append(conditions, c)
	}
	huge := NewReport()
	huge.Created.Total, huge.Signals, huge.Budget = 1_000_000_000, 2_000_000_000, 3_000_000_000
	huge.First, huge.Last = time.Time{}, time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)
	huge.Created.Hours = []Hour{{time.Time{}, 1}, {time.Date(9999, 12, 31, 23, 0, 0, 0, time.UTC), 10_000_000}}
	return map[string]*HTMLOptions{
		"alone":     {Report: report(before...), Check: &Check{Exact: true, Decisions: 9, Same: 9}},
		"alike":     {Report: report(before...), Before: report(before...), Diff: compared(before, before), Conditions: conditions},
		"different": {Report: report(after...), Before: report(before...), Diff: compared(before, after), Conditions: conditions, Warnings: []string{"a gap"}},
		"many":      many,
		"empty":     {Report: NewReport()},
		"nothing":   {Report: NewReport(), Before: report(before...), Diff: NewDiff()},
		"quiet":     {Report: report(decided(morning, "shop", gateway.Decision{Outcome: gateway.Rejected, Reason: gateway.ReasonInvalid}))},
		"one":       {Report: report(before[0])},
		"huge":      {Report: huge, Before: huge},
		"evil":      evil(),
	}
}

// TestWriteHTMLIsWholeInItself holds pages against what their policy allows.
func TestWriteHTMLIsWholeInItself(t *testing.T) {
	elements := strings.Fields("html head meta title style body header main section h1 h2 p dl dt dd div ul li span svg g line rect text " +
		"figure figcaption details summary table caption thead tbody tr th td code strong br")
	attributes := strings.Fields("lang charset http-equiv content name class id role scope height width x y x1 x2 y1 y2 dy aria-hidden aria-label aria-labelledby focusable")
	for name, o := range pages(t) {
		t.Run(name, func(t *testing.T) {
			text, root := htmlOf(t, o)
			var policies []string
			for n := range root.Descendants() {
				if n.Type == html.CommentNode || n.Type == html.ElementNode && !slices.Contains(elements, n.Data) {
					t.Errorf("there is a %s: %.100s", n.Data, content(n))
				}
				for _, a := range n.Attr {
					if !slices.Contains(attributes, a.Key) {
						t.Errorf("%s has %s=%.100s", n.Data, a.Key, a.Val)
					}
				}
				if attribute(n, "http-equiv") != "" {
					policies = append(policies, attribute(n, "http-equiv")+": "+attribute(n, "content"))
				}
			}
			styles := written(root, "style")
			if len(styles) != 1 || regexp.MustCompile(`url\(|@import|\\`).MatchString(pageStyle) {
				t.Errorf("styles: %v", styles)
			}
			_, style, _ := strings.Cut(text, "<style>")
			style, _, _ = strings.Cut(style, "</style>")
			sum := sha256.Sum256([]byte(style))
			want := "Content-Security-Policy: default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; base-uri 'none'; form-action 'none'"
			if !slices.Equal(policies, []string{want}) {
				t.Errorf("got %s, want %s", policies, want)
			}
			if i := strings.IndexFunc(text, func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }); i >= 0 {
				t.Errorf("not printable: %q", text[i:i+20])
			}
			if strings.Contains(text, "ZgotmplZ") || strings.Contains(text, "NaN") {
				t.Error("something could not be shown")
			}
		})
	}
}

func TestWriteHTMLShowsWhatSendersWroteAsText(t *testing.T) {
	_, root := htmlOf(t, evil())
	body := content(root)
	for _, text := range hostile {
		shown := terminal.Clean(text)
		if n := strings.Count(body, shown[:min(len(shown), 200)]); n < 10 {
			t.Errorf("%.100q is there %d times", text, n)
		}
	}
}

func TestWriteHTMLTellsAll(t *testing.T) {
	for seed := range uint64(20) {
		r, before, d := NewReport(), NewReport(), NewDiff()
		for one := range madeUp(seed, 300) {
			one.Signal.Resource.Namespace += strconv.Itoa(r.Signals % 17) // more than have a row each
			other := again(one, func(d *gateway.Decision) { d.Environment += "x" })
			before.Add(one)
			r.Add(other)
			d.Add(one, other)
		}
		_, root := htmlOf(t, &HTMLOptions{Report: r, Before: before, Diff: d})
		for word, want := range map[string][2]Counts{
			"Outcomes":       {r.Outcomes, before.Outcomes},
			"Suppressed":     {r.Suppressed, before.Suppressed},
			"by priority":    {r.Created.Priorities, before.Created.Priorities},
			"by path":        {r.Created.Paths, before.Created.Paths},
			"by environment": {r.Created.Environments, before.Created.Environments},
		} {
			rows := table(t, root, word)
			for run, counts := range want {
				for _, c := range counts {
					if got := rows[c.Name]; len(got) != 2 || got[1-run] != c.Count {
						t.Errorf("seed %d: %s has %d for %q, want %d", seed, word, got, c.Name, c.Count)
					}
				}
			}
		}
		for _, word := range []string{"by namespace", "from (UTC)"} {
			var sums [2]int
			for _, counts := range table(t, root, word) {
				sums[0], sums[1] = sums[0]+counts[0], sums[1]+counts[1]
			}
			if sums != [2]int{before.Created.Total, r.Created.Total} {
				t.Errorf("seed %d: %s comes to %d, want %d and %d", seed, word, sums, before.Created.Total, r.Created.Total)
			}
		}
		figures := strings.Join(written(root, "dl"), " ")
		for _, want := range []string{
			fmt.Sprintf("signals%d", r.Signals), fmt.Sprintf("requests created%d", r.Created.Total), fmt.Sprintf("storms opened%d", r.Storms),
			fmt.Sprintf("members of storms%d", r.Members), fmt.Sprintf("manual by the budget%d", r.Budget),
			fmt.Sprintf("rejected%d", r.Outcomes.Of("rejected")), fmt.Sprintf("duplicates%d", r.Outcomes.Of("duplicate")),
		} {
			if !strings.Contains(figures, want) {
				t.Errorf("seed %d: no %q in %s", seed, want, figures)
			}
		}
	}
}

func TestWriteHTMLTellsDifferences(t *testing.T) {
	all := pages(t)
	_, root := htmlOf(t, all["many"])
	found := all["many"].Diff.Differences()
	sum := 0
	for _, text := range written(root, "tr") {
		if count, _, is := strings.Cut(text, " signals"); is {
			n, err := strconv.Atoi(strings.ReplaceAll(count, ",", ""))
			if err != nil {
				t.Error(err)
			}
			sum += n
		}
	}
	body := content(root)
	if sum+found.Rest != found.Differing || found.Rest == 0 || !strings.Contains(body, strconv.Itoa(found.Rest)+" signals differ in other ways") ||
		!strings.Contains(body, strconv.Itoa(len(found.Changes)-shownChanges)+" more kinds of differences") {
		t.Errorf("%d of %d signals are told, %d are not:\n%s", sum, found.Differing, found.Rest, body)
	}

	_, root = htmlOf(t, all["different"])
	body = content(root)
	for _, want := range []string{
		"a gap", "✗ fails", "✓ passes", "created>+20%: ", "KubePodCrashLooping", "Pod/shop-0/api-0",
		"created path conservative → manual", "policy paths.rego:12",
	} {
		if !strings.Contains(strings.Join(strings.Fields(strings.ReplaceAll(body, "createdpath", "created path")), " "), want) {
			t.Errorf("no %q in %s", want, body)
		}
	}
	if title := written(root, "h1")[0]; title != "Replay by the rules that decided live, compared with what decided live" {
		t.Errorf("the title is %s", title)
	}
}

func TestWriteHTMLReturnsErrors(t *testing.T) {
	full := errors.New("disk full")
	if err := WriteHTML(brokenWriter{full}, &HTMLOptions{Report: report(day(false)...)}); !errors.Is(err, full) {
		t.Errorf("got %v", err)
	}
	if err := WriteHTML(&bytes.Buffer{}, &HTMLOptions{}); err == nil || !strings.Contains(err.Error(), "Report") {
		t.Errorf("got %v", err)
	}
}

// TestWriteHTMLInABrowser looks at pages on a telephone and on a screen, by day
// and by night.
func TestWriteHTMLInABrowser(t *testing.T) {
	t.Parallel()
	all := pages(t)
	for _, test := range []struct {
		name string
		dark bool
	}{{"alone", false}, {"different", false}, {"different", true}, {"evil", true}, {"huge", false}} {
		t.Run(fmt.Sprintf("%s, dark %t", test.name, test.dark), func(t *testing.T) {
			text, root := htmlOf(t, all[test.name])
			s := browser.Look(t, []byte(text), test.dark, 390, 1440)
			if len(s.Console) > 0 || len(s.Loaded) > 0 {
				t.Errorf("the console says %s, and it loads %s", s.Console, s.Loaded)
			}
			for _, f := range s.Frames {
				if f.Needed > f.Width || f.Scripts > 0 || len(f.Faint)+len(f.Squeezed) > 0 {
					t.Errorf("at %d pixels it needs %d and has %d scripts; hard to read are %q and %q", f.Width, f.Needed, f.Scripts, f.Faint, f.Squeezed)
				}
				if title := written(root, "h1")[0]; !strings.Contains(f.Text, title[:min(len(title), 30)]) {
					t.Errorf("the title is not seen in %s", f.Text)
				}
			}
		})
	}
}
