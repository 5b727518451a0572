package page_test

import (
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	gateway "kubernaut.io/gateway"
	"kubernaut.io/gateway/page"
)

// rows returns how many decisions a list shows.
func rows(html string) int { return strings.Count(html, "<tr role=\"row\" class=\"o-") }

func TestList(t *testing.T) {
	t.Parallel()
	f := mustFeed(t, page.FeedOptions{Decisions: 300})
	decided(f, "Disk", gateway.Created, 20)
	decided(f, "Crash", gateway.Duplicate, 330) // the oldest 50 of all go
	decided(f, "Crash", gateway.Failed, 5)
	tell(f, &gateway.Signal{Name: "Odd", Resource: gateway.Resource{Kind: "Node", Name: "worker-3"}},
		&gateway.Decision{Outcome: gateway.Rejected, Reason: gateway.ReasonInvalid, Detail: "name: too odd"})
	p := mustPage(t, options(t, f))
	for target, test := range map[string]struct {
		rows  int
		texts []string
	}{
		"/":                                 {100, []string{"<b data-kept>300</b> decisions", ">Older</a>"}},
		"/decisions":                        {100, []string{">Older</a>"}},
		"/?outcome=failed":                  {5, []string{"<b data-matching>5</b> of <span data-kept>300</span>", `value="failed" checked`}},
		"/?outcome=failed&outcome=rejected": {6, nil},
		"/?outcome=created":                 {0, []string{"Nothing matches."}},
		"/?q=too+ODD":                       {1, []string{"worker-3", "/explain/req-1?decision=7-0"}},
		"/?q=too+even":                      {0, nil},
		"/?priority=P0":                     {100, []string{"<option selected>P0</option>"}},
		"/?priority=P1":                     {0, nil},
		"/?environment=production&source=prometheus&outcome=failed": {5, nil},
		"/?environment=staging": {0, []string{"<option selected>staging</option>"}},
		"/?source=other":        {0, nil},
		"/?namespace=sh*":       {100, []string{`value="sh*"`}},
		"/?namespace=hop":       {0, nil},
		"/?before=60":           {33, []string{"older ones", ">Newest</a>"}},
		"/?unknown=1":           {100, nil},
	} {
		w := get(p, target)
		body := w.Body.String()
		if n := rows(body); w.Code != 200 || n != test.rows {
			t.Errorf("%s: %d with %d rows, want %d", target, w.Code, n, test.rows)
		}
		for _, text := range test.texts {
			if !strings.Contains(body, text) {
				t.Errorf("%s does not say %q", target, text)
			}
		}
	}
}

// TestPagesOfTheList: to follow the link to older ones shows each decision once.
func TestPagesOfTheList(t *testing.T) {
	t.Parallel()
	f := mustFeed(t, page.FeedOptions{})
	decided(f, "Crash", gateway.Duplicate, 250)
	decided(f, "Disk", gateway.Created, 30)
	p := mustPage(t, options(t, f))
	seen, target := make(map[string]bool), "/?outcome=duplicate"
	for range 3 {
		body := get(p, target).Body.String()
		for _, id := range regexp.MustCompile(` id="d(\d+)"`).FindAllStringSubmatch(body, -1) {
			seen[id[1]] = true
		}
		target = ""
		if _, after, ok := strings.Cut(body, `href="/?before=`); ok {
			target = strings.ReplaceAll("/?before="+after[:strings.Index(after, `#`)], "&amp;", "&")
		}
	}
	if len(seen) != 250 || target != "" {
		t.Errorf("%d were shown, and there is more at %q", len(seen), target)
	}
}

func TestFilterNamesWhatIsWrong(t *testing.T) {
	t.Parallel()
	for query, want := range map[string]string{
		"outcome=odd":                         "outcome: ",
		"before=-1":                           "before: ",
		"namespace=[":                         "namespace: ",
		"q=" + strings.Repeat("x", 300):       "q: ",
		"q=" + strings.Repeat("x+", 20):       "q: ",
		"source=" + strings.Repeat("x", 300):  "source: ",
		"priority=" + strings.Repeat("P", 99): "",
	} {
		q, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := page.ParseFilter(q); err == nil && want != "" || err != nil && (want == "" || !strings.HasPrefix(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", query, err, want)
		}
	}
}

func FuzzParseFilter(f *testing.F) {
	f.Add("outcome=created&outcome=failed&q=a+b&namespace=team-*&before=3")
	f.Add("priority=P0&environment=production&source=k8s-event&q=%ff%00")
	f.Add("namespace=[a-")
	f.Fuzz(func(t *testing.T, query string) {
		q, err := url.ParseQuery(query)
		if err != nil {
			t.Skip()
		}
		filter, err := page.ParseFilter(q)
		if err != nil {
			return
		}
		again, err := page.ParseFilter(filter.Query())
		if err != nil || again.Query().Encode() != filter.Query().Encode() {
			t.Errorf("%q is read again as %q: %v", filter.Query(), again.Query(), err)
		}
	})
}

// TestTextsAreBounded: what is shown of what a sender wrote takes no more memory
// than what is valid.
func TestTextsAreBounded(t *testing.T) {
	t.Parallel()
	f := mustFeed(t, page.FeedOptions{})
	long := strings.Repeat("é", 4096)
	tell(f, &gateway.Signal{Name: long, Severity: long, Resource: gateway.Resource{Kind: long, Namespace: long, Name: long}},
		&gateway.Decision{Outcome: gateway.Rejected, Reason: gateway.ReasonInvalid, Detail: long})
	body := get(mustPage(t, options(t, f)), "/decisions").Body.String()
	if len(body) > 16<<10 || !strings.Contains(body, "é…") || strings.ContainsRune(body, '\uFFFD') {
		t.Errorf("%d bytes", len(body))
	}
}

// TestCounts: what is shown of the last quarter of an hour is that, and what is
// longer ago counts since the start alone.
func TestCounts(t *testing.T) {
	t.Parallel()
	now := noon
	f := mustFeed(t, page.FeedOptions{Now: func() time.Time { return now }})
	o := options(t, f)
	o.Now = func() time.Time { return now }
	o.State = func() page.State { return page.State{Spool: true} }
	p := mustPage(t, o)
	for i := range 3 {
		f.Answered("prometheus", 202, 20*time.Millisecond)
		f.Heard(page.Heard{At: now, Source: "prometheus", Signals: make([]gateway.Signal, 5), Decisions: []gateway.Decision{
			{Outcome: gateway.Created}, {Outcome: gateway.Duplicate}, {Outcome: gateway.Duplicate}, {Outcome: gateway.Rejected}, {Outcome: gateway.Failed},
		}})
		f.Answered("prometheus", 503, time.Second)
		f.Answered("", 404, time.Millisecond)
		f.Kept("drained", 1, &gateway.Signal{Source: "prometheus"}, &gateway.Decision{Outcome: gateway.Created})
		f.Spooled(i, 2048, now, 1)
		now = now.Add(10 * time.Minute)
	}
	body := strings.Join(strings.Fields(get(p, "/").Body.String()), " ")
	for _, want := range []string{
		`requests received</th><td></td><td class="num">3</td><td class="num">9</td>`,
		`refused</th><td></td><td class="num">2</td><td class="num">6</td>`,
		`signals decoded</th><td></td><td class="num">5</td><td class="num">15</td>`,
		`<rect class="b-duplicate" width="40" height="4"></rect></svg></td><td class="num">2</td><td class="num">6</td>`,
		`decided later</th><td></td><td></td><td class="num">3</td>`,
		`<td class="bad">refused, 503</td>`, `1 set aside`,
		`p50 21 ms, p99 1.2 s, 3 requests, 2 refused`,
	} {
		if !strings.Contains(body, want) {
			t.Errorf("it does not say %s", want)
		}
	}
}

// BenchmarkHeard is what each request of a sender costs beside its decisions.
func BenchmarkHeard(b *testing.B) {
	for _, n := range []int{1, 100} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			f := mustFeed(b, page.FeedOptions{})
			h := page.Heard{At: noon, RequestID: "r", Source: "prometheus", Case: 1, Signals: make([]gateway.Signal, n), Decisions: make([]gateway.Decision, n)}
			for i := range h.Decisions {
				h.Decisions[i].Outcome = gateway.Duplicate
			}
			b.ReportAllocs()
			for b.Loop() {
				f.Heard(h)
			}
		})
	}
}

// BenchmarkSearch is a search through all that is kept.
func BenchmarkSearch(b *testing.B) {
	f := mustFeed(b, page.FeedOptions{})
	decided(f, "KubePodCrashLooping", gateway.Duplicate, page.DefaultDecisions)
	p := mustPage(b, options(b, f))
	b.ReportAllocs()
	for b.Loop() {
		get(p, "/decisions?q=nothing+of+that+kind")
	}
}
