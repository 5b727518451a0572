package events

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kubernaut.io/gateway/config"
	"kubernaut.io/gateway/kube"
	"kubernaut.io/gateway/reconcile"
	"kubernaut.io/gateway/test/harness"
)

// mustReconcile asks a gateway what Events were overlooked, or has them taken in.
func mustReconcile(t *testing.T, g *harness.Gateway, method string) reconcile.Report {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, g.AdminURL+"/api/v1/reconcile", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var answer struct{ Sources []reconcile.Report }
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil || len(answer.Sources) != 1 {
		t.Fatalf("%s, %v", response.Status, err)
	}
	return answer.Sources[0]
}

// TestOverlookedEvents: while nobody watches, since who holds the Lease does
// nothing, Events are found that are signals by the watch's own rules. What was
// taken in is nothing new to the watch that comes then.
func TestOverlookedEvents(t *testing.T) {
	t.Parallel()
	shop, namespace := newShop(t, shared), shared.NewNamespace(t)
	holder, seconds, now := "nobody", int32(3600), metav1.NewMicroTime(time.Now())
	leases := shared.Core.CoordinationV1().Leases(namespace)
	lease := &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Name: kube.EventLeasePrefix + source},
		Spec:       coordinationv1.LeaseSpec{HolderIdentity: &holder, LeaseDurationSeconds: &seconds, AcquireTime: &now, RenewTime: &now},
	}
	if _, err := leases.Create(t.Context(), lease, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	g := shared.StartIn(t, namespace, shared.REST, watching(shop), func(c *config.Config) {
		r := config.DefaultReconcile()
		c.Sources[1].Reconcile = &r
	})
	ago := func(d time.Duration) time.Time { return time.Now().Add(-d) }
	mustWrite(t, shared, event(shop, "lost", "OOMKilling", ago(time.Hour)), 1)
	mustWrite(t, shared, event(shop, "once", "BackOff", ago(time.Hour)), 1)
	mustWrite(t, shared, event(shop, "young", "OOMKilling", ago(time.Minute)), 1)
	mustWrite(t, shared, event(shop, "waiting", "OOMKilling", ago(12*time.Minute)), 1)
	mustWrite(t, shared, event("default", "elsewhere", "OOMKilling", ago(time.Hour)), 1)

	r := mustReconcile(t, g, http.MethodGet)
	if r.Unaccounted != 1 || r.Firing != 3 || r.Young != 2 || r.Others != 1 || r.Error != "" {
		t.Fatalf("%+v", r)
	}
	if got := r.Listed[0]; got.Name != "OOMKilling" || got.About != "Pod/"+shop+"/lost" {
		t.Errorf("%+v", got)
	}
	if n := metric(t, g.AdminURL, `gateway_signals_unaccounted{source="k8s_event"}`); n != 1 {
		t.Errorf("%v unaccounted by the metric, want 1", n)
	}
	if r = mustReconcile(t, g, http.MethodPost); r.TakenIn != 1 || r.Unaccounted != 0 {
		t.Errorf("taken in: %+v", r)
	}
	list := g.List(t)
	if len(list) != 1 || list[0].Spec.TargetResource.Name != "lost" {
		t.Fatalf("%+v", list)
	}

	if err := leases.Delete(t.Context(), lease.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, "the watch hands in all that are signals", func() bool { return fated(t, g, "signal") == 3 })
	harness.Eventually(t, "requests of the others", func() bool { return len(g.List(t)) == 3 })
	for _, rr := range g.List(t) {
		if d := rr.Status.Deduplication; d != nil && d.OccurrenceCount != 1 {
			t.Errorf("%s was counted %d times", rr.Spec.TargetResource.Name, d.OccurrenceCount)
		}
	}
	harness.Eventually(t, "nothing is overlooked", func() bool {
		r := mustReconcile(t, g, http.MethodGet)
		return r.Unaccounted == 0 && r.Young == 0
	})
}
