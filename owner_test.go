package gateway_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	gateway "kubernaut.io/gateway"
	"kubernaut.io/gateway/memledger"
)

// owners are those of a test's cluster, by kind/namespace/name.
type owners struct {
	of map[string]gateway.Ownership
	// slow has nothing known before the context ends.
	slow bool

	mu    sync.Mutex
	asked [][]gateway.Resource
}

func (o *owners) Owners(ctx context.Context, resources []gateway.Resource) []gateway.Ownership {
	o.mu.Lock()
	o.asked = append(o.asked, slices.Clone(resources))
	o.mu.Unlock()
	found := make([]gateway.Ownership, len(resources))
	if o.slow {
		<-ctx.Done()
	}
	for i, r := range resources {
		found[i] = o.of[r.String()]
		if o.slow {
			found[i] = gateway.Ownership{From: gateway.OwnerTimeout}
		}
	}
	return found
}

func withOwners(o *owners) func(*gateway.Options) {
	return func(options *gateway.Options) { options.Owners = o }
}

func shopDeployment(name string) gateway.Resource {
	return gateway.Resource{APIVersion: "apps/v1", Kind: "Deployment", Namespace: "shop", Name: name}
}

// cart has pods cart-0 to cart-(n-1) controlled by one Deployment.
func cart(n int) *owners {
	o := &owners{of: make(map[string]gateway.Ownership)}
	for i := range n {
		o.of[fmt.Sprintf("Pod/shop/cart-%d", i)] = gateway.Ownership{Owner: shopDeployment("cart"), From: gateway.OwnerWatched}
	}
	return o
}

func TestTemplateOwner(t *testing.T) {
	for _, row := range []struct {
		name, apiVersion, kind, object, want string
	}{
		{"a pod of a Deployment", "v1", "Pod", "cart-7d9f8c6b5-x2x4z", "cart"},
		{"dashes in the Deployment's name", "v1", "Pod", "cart-api-v2-7d9f8c6b5-x2x4z", "cart-api-v2"},
		{"the shortest hash", "v1", "Pod", "cart-456789-bcdfg", "cart"},
		{"the longest hash", "v1", "Pod", "cart-5d5f9b99b9-bcdfg", "cart"},
		{"a hash too short to be told from a word", "v1", "Pod", "cart-45678-bcdfg", ""},
		{"a hash too long", "v1", "Pod", "cart-5d5f9b99b94-bcdfg", ""},
		{"a letter that no hash has", "v1", "Pod", "cart-7d9f8c6a5-x2x4z", ""},
		{"a letter that no pod's name ends in", "v1", "Pod", "cart-7d9f8c6b5-x2x4a", ""},
		{"a pod's ending too short", "v1", "Pod", "cart-7d9f8c6b5-x2x4", ""},
		{"nothing before the hash", "v1", "Pod", "-7d9f8c6b5-x2x4z", ""},
		{"the hash alone", "v1", "Pod", "7d9f8c6b5-x2x4z", ""},
		{"a StatefulSet's", "v1", "Pod", "db-0", ""},
		{"a DaemonSet's", "v1", "Pod", "agent-x2x4z", ""},
		{"a ReplicaSet", "apps/v1", "ReplicaSet", "cart-7d9f8c6b5", "cart"},
		{"somebody's own ReplicaSet", "apps/v1", "ReplicaSet", "cart-blue", ""},
		{"another kind", "batch/v1", "Job", "cart-7d9f8c6b5", ""},
		{"another group's pod", "example.org/v1", "Pod", "cart-7d9f8c6b5-x2x4z", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, ok := gateway.TemplateOwner(gateway.Resource{APIVersion: row.apiVersion, Kind: row.kind, Namespace: "shop", Name: row.object})
			if ok != (row.want != "") || ok && got != shopDeployment(row.want) {
				t.Errorf("%v, %t, want %q", got, ok, row.want)
			}
		})
	}
}

// TestPodsOfOneWorkload: what happens to one workload is one trouble, whichever of
// its pods it happens to, and the request says what it stands for.
func TestPodsOfOneWorkload(t *testing.T) {
	r := newGateway(t, withOwners(cart(3)))
	first := r.wantOutcome(alert("CrashLooping", "shop", "cart-0"), gateway.Created, gateway.ReasonNewEpisode)
	for _, pod := range []string{"cart-1", "cart-2"} {
		d := r.wantOutcome(alert("CrashLooping", "shop", pod), gateway.Duplicate, gateway.ReasonEpisodeOpen)
		if d.Request != first.Request {
			t.Errorf("%s: request %s, want %s", pod, d.Request, first.Request)
		}
	}
	r.wantOutcome(alert("CrashLooping", "shop", "other"), gateway.Created, gateway.ReasonNewEpisode)
	r.wantOutcome(resolvedAt(alert("CrashLooping", "shop", "cart-1"), r.clock.now()), gateway.Resolved, gateway.ReasonAlertResolved)
}

func TestOwnersOfABatch(t *testing.T) {
	o := cart(100)
	r := newGateway(t, withOwners(o))
	var batch []gateway.Signal
	for i := range 200 {
		batch = append(batch, alert("CrashLooping", "shop", fmt.Sprintf("cart-%d", i%100)))
	}
	known := alert("CrashLooping", "shop", "cart-0")
	known.Owner = shopDeployment("other")
	batch = append(batch, known, gateway.Signal{Name: "About nothing"}, gateway.Signal{Err: context.Canceled, Resource: known.Resource})
	r.process(batch...)
	if len(o.asked) != 1 || len(o.asked[0]) != 100 {
		t.Errorf("asked %d times, want once for 100 resources", len(o.asked))
	}
	if batch[0].Owner != shopDeployment("cart") || batch[200].Owner != shopDeployment("other") {
		t.Errorf("owners %v and %v", batch[0].Owner, batch[200].Owner)
	}
}

// TestFingerprintByResource: the owner is known, and does not stand for the pod.
func TestFingerprintByResource(t *testing.T) {
	r := newGateway(t, withOwners(cart(2)), func(o *gateway.Options) { o.Identity.ByOwner = false })
	for _, pod := range []string{"cart-0", "cart-1"} {
		s := []gateway.Signal{alert("CrashLooping", "shop", pod)}
		if d := r.Process(t.Context(), s)[0]; d.Outcome != gateway.Created || s[0].Owner != shopDeployment("cart") {
			t.Errorf("%s: %s, owner %v", pod, d.Outcome, s[0].Owner)
		}
	}
}

// TestOwnersOfAnotherCluster: nobody is asked about what is elsewhere, where only
// a name tells.
func TestOwnersOfAnotherCluster(t *testing.T) {
	o := cart(1)
	r := newGateway(t, withOwners(o), func(options *gateway.Options) { options.Identity.Cluster = "here" })
	elsewhere := func(pod string) gateway.Signal {
		s := alert("CrashLooping", "shop", pod)
		s.Cluster = "there"
		return s
	}
	r.wantOutcome(elsewhere("cart-0"), gateway.Created, gateway.ReasonNewEpisode)
	first := r.wantOutcome(elsewhere("cart-7d9f8c6b5-x2x4z"), gateway.Created, gateway.ReasonNewEpisode)
	second := r.wantOutcome(elsewhere("cart-7d9f8c6b5-bcdfg"), gateway.Duplicate, gateway.ReasonEpisodeOpen)
	if len(o.asked) != 0 || first.Fingerprint != second.Fingerprint {
		t.Errorf("asked for %v, fingerprints %s and %s", o.asked, first.Fingerprint, second.Fingerprint)
	}
	here := alert("CrashLooping", "shop", "cart-0")
	here.Cluster = "here"
	if d := r.wantOutcome(here, gateway.Created, gateway.ReasonNewEpisode); d.Fingerprint == first.Fingerprint || len(o.asked) != 1 {
		t.Errorf("asked %d times, fingerprint %s", len(o.asked), d.Fingerprint)
	}
}

// TestOwnersInTime: however many signals a batch has, they wait for a quarter of a
// second for what is not known, and each is decided.
func TestOwnersInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReplica(t, newCluster(newClock()), memledger.New(memledger.Options{}), withOwners(&owners{slow: true}))
		var batch []gateway.Signal
		for i := range 5 {
			batch = append(batch, alert("CrashLooping", "shop", fmt.Sprintf("cart-%d", i)))
		}
		begin := time.Now()
		decisions := r.process(batch...)
		if took := time.Since(begin); took != 250*time.Millisecond {
			t.Errorf("it took %v, want 250ms", took)
		}
		for i, d := range decisions {
			owner, err := gateway.Read[gateway.Ownership](d.Steps[0].Answer)
			if d.Outcome != gateway.Created || err != nil || owner.From != gateway.OwnerTimeout {
				t.Errorf("signal %d: %s, owner from %q, %v", i, d.Outcome, owner.From, err)
			}
		}
	})
}

// TestAccountByOwner: who asks what is known of many signals is told of the same
// fingerprints as those who send them.
func TestAccountByOwner(t *testing.T) {
	o := cart(600)
	r := newGateway(t, withOwners(o))
	r.wantOutcome(alert("CrashLooping", "shop", "cart-0"), gateway.Created, gateway.ReasonNewEpisode)
	o.asked = nil
	var firing []gateway.Signal
	for i := range 600 {
		firing = append(firing, alert("CrashLooping", "shop", fmt.Sprintf("cart-%d", i)))
	}
	accounts, err := r.Account(t.Context(), firing)
	if err != nil {
		t.Fatal(err)
	}
	for i, a := range accounts {
		if a.Missing || a.Outcome != gateway.Duplicate {
			t.Fatalf("pod %d: %+v", i, a)
		}
	}
	if len(o.asked) != 3 || len(o.asked[0]) != 250 || len(o.asked[2]) != 100 {
		t.Errorf("asked %d times", len(o.asked))
	}
}
