package page_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kubernaut.io/gateway/config"
	"kubernaut.io/gateway/test/harness"
)

// TestPictures takes pictures for a person to look at; only where it is asked to.
func TestPictures(t *testing.T) {
	if *pictures == "" {
		t.Skip("-pictures DIR takes pictures")
	}
	if err := os.MkdirAll(*pictures, 0o755); err != nil {
		t.Fatal(err)
	}
	g := shared.Start(t)
	pictureTrouble(t)
	b := newTab(t, 1440, 1000)
	b.open(g.AdminURL + "/")
	b.shoot("empty-1440-light", chromedp.CaptureScreenshot())
	// Some bars of the plots, of which the newest is shown when it is over.
	tick := time.NewTicker(2500 * time.Millisecond)
	defer tick.Stop()
	for round := range 12 {
		traffic(t, g)
		for i := range round % 4 {
			g.Post(t, "prometheus", harness.Webhook(harness.Firing(fmt.Sprintf("DiskFillsUp%d", i), "search", fmt.Sprintf("index-%d", round))))
		}
		<-tick.C
	}
	b.until(`document.querySelectorAll('#rows tr').length === 100 && document.querySelector('.storm')`)
	b.open(g.AdminURL + "/?outcome=member")
	link := eval[string](b, `document.querySelector('#rows a').href`)
	for _, scheme := range []string{"light", "dark"} {
		b.scheme(scheme)
		for width, height := range map[int64]int64{1440: 1000, 390: 844} {
			b.do(chromedp.EmulateViewport(width, height))
			b.open(g.AdminURL + "/")
			b.exec(`document.querySelector('.storm').open = true`)
			b.shoot(fmt.Sprintf("page-%d-%s", width, scheme), chromedp.CaptureScreenshot())
			b.shoot(fmt.Sprintf("page-%d-%s-whole", width, scheme), chromedp.FullScreenshot(100))
			b.exec(`document.getElementById('h-decisions').scrollIntoView()`)
			b.shoot(fmt.Sprintf("decisions-%d-%s", width, scheme), chromedp.CaptureScreenshot())
			b.open(link)
			b.shoot(fmt.Sprintf("explain-%d-%s", width, scheme), chromedp.CaptureScreenshot())
		}
	}
}

// pictureTrouble takes pictures of a gateway of which much is not as it should be.
func pictureTrouble(t *testing.T) {
	t.Helper()
	g := shared.Start(t, func(c *config.Config) {
		c.Redis.Addresses = []string{"127.0.0.1:1"}
		c.Spool.Dir = t.TempDir()
		c.Silences.List = []config.Silence{{Name: "database-move", Namespaces: []string{"payments"}, EndsAt: time.Now().Add(2 * time.Hour)}}
	})
	_, err := shared.Core.CoreV1().ConfigMaps(g.Namespace).Create(t.Context(), &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: "gateway-guard"}, Data: map[string]string{"mode": "manual"},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	traffic(t, g)
	for _, width := range []int64{1440, 390} {
		b := newTab(t, width, 900)
		b.open(g.AdminURL + "/")
		b.until(`document.querySelector('.problems') && document.getElementById('panel-controls').innerText.includes('manual')`)
		b.shoot(fmt.Sprintf("trouble-%d", width), chromedp.CaptureScreenshot())
		b.shoot(fmt.Sprintf("trouble-%d-whole", width), chromedp.FullScreenshot(100))
	}
}

func (b *tab) shoot(name string, how chromedp.Action[[]byte]) {
	b.t.Helper()
	if err := os.WriteFile(filepath.Join(*pictures, name+".png"), run(b, how), 0o600); err != nil {
		b.t.Fatal(err)
	}
}
