package page_test

import (
	"strings"
	"testing"
	"time"

	gateway "kubernaut.io/gateway"
	"kubernaut.io/gateway/page"
)

// TestUnaccounted: what never came is listed, as text, where senders are asked,
// and nothing is said of it where they are not.
func TestUnaccounted(t *testing.T) {
	t.Parallel()
	o := options(t, mustFeed(t, page.FeedOptions{}))
	if body := get(mustPage(t, o), "/").Body.String(); strings.Contains(strings.ToLower(body), "accounted for") {
		t.Error("it says what is not accounted for, though nobody looks")
	}
	all := []page.Unaccounted{
		{Source: "prometheus", From: "http://alertmanager:9093", At: noon, After: 10 * time.Minute, Firing: 1204, Signals: 2, Listed: []page.Missing{{
			Name: "<script>alert(1)</script>", Severity: "critical", About: "Pod/shop/\"cart\"", Since: noon.Add(-time.Hour), Fingerprint: "f", Reason: "new episode",
		}}},
		{Source: "k8s-event", From: "Events", After: time.Minute, Trouble: "<b>403</b>"},
	}
	o.State = func() page.State {
		return page.State{Mode: gateway.ModeNormal, Ledger: "memory", Unaccounted: all}
	}
	body := get(mustPage(t, o), "/").Body.String()
	for _, want := range []string{
		"2 of 1,204 that fire there", "&lt;script&gt;alert(1)&lt;/script&gt;", "Pod/shop/&#34;cart&#34;", "1 of 2; gateway reconcile lists more",
		"not looked yet", "longer than 10m and", "longer than 1m and", "&lt;b&gt;403&lt;/b&gt;", `<li class="tile bad"><span>Not accounted for</span><b>2</b><em>not known now</em>`,
	} {
		if !strings.Contains(body, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
	if strings.Contains(body, "<script>alert") || strings.Contains(body, "<b>403") {
		t.Error("what others wrote is markup")
	}
}
