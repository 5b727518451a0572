package page_test

import (
	"strings"
	"testing"
	"time"

	gateway "kubernaut.io/gateway"
	"kubernaut.io/gateway/page"
)

// TestSigns: each source has its last sign of life, and one that is silent is said
// to be so, whatever else has come from it.
func TestSigns(t *testing.T) {
	t.Parallel()
	feed := mustFeed(t, page.FeedOptions{Sources: []string{"prometheus", "edge", "quiet"}})
	for _, source := range []string{"prometheus", "edge"} {
		feed.Answered(source, 202, time.Millisecond)
	}
	o := options(t, feed)
	o.Sources = []page.Source{{Name: "prometheus", Format: "alertmanager"}, {Name: "edge", Format: "alertmanager"}, {Name: "quiet", Format: "json"}}
	o.State = func() page.State {
		return page.State{Mode: gateway.ModeNormal, Ledger: "memory", Signs: []page.Signs{
			{Source: "prometheus", Alert: "Watchdog", Last: noon.Add(-time.Minute), Due: noon.Add(4 * time.Minute)},
			{Source: "edge", Alert: `"><script>`, Last: noon.Add(-24 * time.Hour), Due: noon.Add(-12 * time.Hour), Silent: true, Ended: true, Trouble: "<b>403</b>"},
			{Source: "quiet", Alert: "Watchdog"},
		}}
	}
	body := get(mustPage(t, o), "/").Body.String()
	for _, want := range []string{
		`prometheus: Watchdog came <time`, `, due by <time`, `<td class="bad">silent</td>`, `quiet: no Watchdog yet</p>`,
		`edge: &#34;&gt;&lt;script&gt; came <time`, `, and has ended there; <b class="warn">its alerts may be getting lost</b>; what other replicas know can't be told: &lt;b&gt;403&lt;/b&gt;</p>`,
	} {
		if !strings.Contains(body, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
	if n := strings.Count(body, ">silent<"); n != 1 {
		t.Errorf("%d sources are silent", n)
	}
	if strings.Contains(body, "<script> came") || strings.Contains(body, "<b>403") {
		t.Error("what others wrote is markup")
	}
}
