package page_test

import (
	"testing"

	"kubernaut.io/gateway/config"
	"kubernaut.io/gateway/test/cluster"
	"kubernaut.io/gateway/test/harness"
)

// TestOutage: what the spool holds while the Kubernetes API is away is on the
// page, and what becomes of it when that is back.
func TestOutage(t *testing.T) {
	t.Parallel()
	c := cluster.Start(t)
	own, err := harness.NewCluster(c.Kubeconfig())
	if err != nil {
		t.Fatal(err)
	}
	g := own.Start(t, func(conf *config.Config) { conf.Spool.Dir = t.TempDir() })
	b := newTab(t, 1440, 1000)
	b.open(g.AdminURL + "/")
	b.until(live)
	if err := c.Stop(); err != nil {
		t.Fatal(err)
	}
	g.Post(t, "prometheus", harness.Webhook(harness.Firing("DuringTheOutage", "shop", "cart-0")))
	b.until(first + `.includes('spooled') && ` + first + `.includes('DuringTheOutage')`)
	b.until(`document.querySelector('.problems').innerText.includes('spool')`)
	b.until(`/1 signal, .* since/.test(document.getElementById('panel-controls').innerText)`)
	if err := c.Restart(); err != nil {
		t.Fatal(err)
	}
	b.until(first + `.includes('drained') && ` + first + `.includes('created')`)
	b.until(`document.getElementById('panel-flow').innerText.includes('decided later')`)
	b.until(`!document.querySelector('.problems') && /Spool\s+empty/.test(document.getElementById('panel-controls').innerText)`)
	b.exec(`document.querySelector('#rows a').click()`)
	b.until(`document.querySelector('.chain') && document.querySelector('.chain').innerText.includes('taken from the spool at')`)
}
