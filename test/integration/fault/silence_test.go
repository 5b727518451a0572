package fault

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"kubernaut.io/gateway"
	"kubernaut.io/gateway/kube"
	"kubernaut.io/gateway/test/cluster"
	"kubernaut.io/gateway/test/harness"
)

// silence is what these tests take for the two minutes of production.
const silence = 3 * time.Second

func shortSilence(o *kube.Options) { o.Silence = silence }

func doubleSilence(o *kube.Options) { o.Silence = 2 * silence }

// watches and lists tell how a replica follows its requests.
func watches(r *http.Request) bool { return r.Method == http.MethodGet && ours(r) && isWatch(r) }

func lists(r *http.Request) bool {
	all := strings.HasSuffix(r.URL.Path, "/remediationrequests")
	return all && (reads(r) || isWatch(r) && r.URL.Query().Get("sendInitialEvents") == "true")
}

// tell lets requests through and tells of each.
func (p *proxy) tell(hits func(*http.Request) bool) *rule { return p.on(10_000, rule{hits: hits}) }

// mustFallSilent waits until the replica's watch is evidence no more.
func mustFallSilent(t *testing.T, b *bare) {
	t.Helper()
	harness.Eventually(t, "the silence", func() bool { return !b.sink.Current() })
}

// What a replica missed while its watch was silent it reads live.
func TestSilentWatchIsNoEvidence(t *testing.T) {
	t.Parallel()
	seeing := shared.Start(t)
	p, via := mustProxy(t, shared.REST)
	ended, gone, goesOn, unknown, untouched := fresh(), fresh(), fresh(), fresh(), fresh()
	since := time.Now().Add(-time.Hour)
	ended = ended.Since(since)
	names := make(map[string]string)
	for _, a := range []harness.Alert{ended, gone, goesOn, untouched} {
		names[a.Labels["alertname"]] = send(t, seeing, a, gateway.Created, gateway.ReasonNewEpisode).RemediationRequest.Name
	}
	name := func(a harness.Alert) string { return names[a.Labels["alertname"]] }
	blind := mustBare(t, seeing.Namespace, via, shortSilence)
	if !blind.sink.Current() {
		t.Fatal("not current right after a list")
	}
	p.freeze()

	seeing.PatchStatus(t, name(ended), completed(16*time.Minute))
	mustDelete(t, seeing, name(gone))
	seeing.PatchStatus(t, name(goesOn), completed(time.Minute))
	goesOn = goesOn.Since(time.Now().Add(-time.Second))
	var second harness.Signal
	harness.Eventually(t, "the next attempt", func() bool {
		second = post(t, seeing, goesOn)
		return second.Outcome == string(gateway.Created)
	})
	first := send(t, seeing, unknown, gateway.Created, gateway.ReasonNewEpisode)

	// Before the limit the replica may still take what has ended for unfinished.
	if d := blind.decide(t, ended); blind.sink.Current() && d.Reason != gateway.ReasonEpisodeOpen {
		t.Errorf("within the limit: %s (%s)", d.Outcome, d.Reason)
	}
	mustFallSilent(t, blind)
	if d := blind.mustDecide(t, goesOn, gateway.Duplicate, gateway.ReasonEpisodeOpen); d.Request != second.RemediationRequest.Name {
		t.Errorf("repeats %s, want the next attempt %s", d.Request, second.RemediationRequest.Name)
	}
	creating := p.tell(creates)
	if d := blind.mustDecide(t, unknown, gateway.Duplicate, gateway.ReasonEpisodeOpen); d.Request != first.RemediationRequest.Name || len(creating.hit) != 0 {
		t.Errorf("repeats %s after %d creates, want %s after none", d.Request, len(creating.hit), first.RemediationRequest.Name)
	}
	p.off(creating)
	blind.mustDecide(t, untouched, gateway.Duplicate, gateway.ReasonEpisodeOpen)
	d := blind.mustDecide(t, ended, gateway.Created, gateway.ReasonStillFiring)
	if rr := seeing.Get(t, d.Request); rr.Spec.Sequence != 2 || rr.Spec.Attempt != 2 || rr.Spec.PreviousRequest != name(ended) {
		t.Errorf("number %d, attempt %d, previous %q", rr.Spec.Sequence, rr.Spec.Attempt, rr.Spec.PreviousRequest)
	}
	if blind.mustDecide(t, gone, gateway.Created, gateway.ReasonNewEpisode).Request != name(gone) {
		t.Error("the deleted request's number was not free")
	}
	mustHave(t, seeing, 7)

	p.thaw()
	harness.Eventually(t, "the watch again", blind.sink.Current)
	live := p.tell(reads)
	blind.mustDecide(t, untouched, gateway.Duplicate, gateway.ReasonEpisodeOpen)
	if blind.sink.Current() && len(live.hit) != 0 {
		t.Errorf("%d live reads with a watch that is heard", len(live.hit))
	}
}

// A storm's request stands for its members, and is read for them.
func TestSilentWatchAndAStorm(t *testing.T) {
	t.Parallel()
	seeing := shared.Start(t, calm)
	p, via := mustProxy(t, shared.REST)
	namespace := fresh().Labels["namespace"]
	answer := seeing.Post(t, "prometheus", harness.Webhook(crowd(namespace, 11)...))
	if answer.Summary["member"] != 1 {
		t.Fatalf("answer %d: %v", answer.Status, answer.Summary)
	}
	member := crowd(namespace, 1)[0].Since(time.Now().Add(-time.Hour))
	storm := send(t, seeing, member, gateway.Member, gateway.ReasonStormJoined).RemediationRequest.Name
	blind := mustBare(t, seeing.Namespace, via, shortSilence)
	if d := blind.mustDecide(t, member, gateway.Duplicate, gateway.ReasonEpisodeOpen); d.Request != storm {
		t.Fatalf("repeats %s, want %s", d.Request, storm)
	}
	p.freeze()
	seeing.PatchStatus(t, storm, completed(16*time.Minute))
	mustFallSilent(t, blind)
	d := blind.mustDecide(t, member, gateway.Created, gateway.ReasonStillFiring)
	if rr := seeing.Get(t, d.Request); rr.Spec.PreviousRequest != storm {
		t.Errorf("previous %q, want %s", rr.Spec.PreviousRequest, storm)
	}
}

// Without evidence and without an API nothing is told to be a duplicate.
func TestSilentWatchAndNoAPI(t *testing.T) {
	t.Parallel()
	seeing := shared.Start(t)
	p, via := mustProxy(t, shared.REST)
	a := fresh()
	send(t, seeing, a, gateway.Created, gateway.ReasonNewEpisode)
	blind := mustBare(t, seeing.Namespace, via, shortSilence)
	p.on(1_000_000, rule{hits: func(*http.Request) bool { return true }, before: cutOff})
	p.server.CloseClientConnections()
	if d := blind.decide(t, a); blind.sink.Current() && d.Outcome != gateway.Duplicate {
		t.Errorf("within the limit: %s (%s)", d.Outcome, d.Reason)
	}
	mustFallSilent(t, blind)
	// The sender is answered 503 for what failed.
	for _, a := range []harness.Alert{a, a.Resolved()} {
		if d := blind.decide(t, a); d.Outcome != gateway.Failed {
			t.Errorf("%s: %s (%s)", a.Status, d.Outcome, d.Reason)
		}
	}
	p.clear()
	blind.mustDecide(t, a, gateway.Duplicate, gateway.ReasonEpisodeOpen)
	harness.Eventually(t, "the watch again", blind.sink.Current)
	mustHave(t, seeing, 1)
}

// A watch whose connection leads nowhere is opened anew, without another list.
func TestSilentWatchIsOpenedAnew(t *testing.T) {
	t.Parallel()
	seeing := shared.Start(t)
	p, via := mustProxy(t, shared.REST)
	b := mustBare(t, seeing.Namespace, via, doubleSilence)
	listing, watching := p.tell(lists), p.on(10_000, rule{hits: watches})
	<-watching.hit
	p.freeze()
	mustFallSilent(t, b)
	<-watching.hit // while the one before it still hangs
	p.thaw()
	harness.Eventually(t, "the new watch", func() bool {
		send(t, seeing, fresh(), gateway.Created, gateway.ReasonNewEpisode)
		return b.sink.Current() && b.sink.Size() > 0
	})
	if len(listing.hit) != 0 {
		t.Errorf("opened after %d lists", len(listing.hit))
	}
}

// A list that does not come on is asked for again.
func TestSilentList(t *testing.T) {
	t.Parallel()
	seeing := shared.Start(t)
	p, via := mustProxy(t, shared.REST)
	p.freeze()
	listing := p.tell(lists)
	go func() {
		<-listing.hit
		<-listing.hit
		p.thaw()
	}()
	if b := mustBare(t, seeing.Namespace, via, shortSilence); !b.sink.Current() {
		t.Error("not current right after a list")
	}
}

// In a quiet cluster the watch is heard as well: by bookmarks, and where the
// API server has no watch cache and so sends none, by its proper end.
func TestQuietClusterIsHeard(t *testing.T) {
	t.Parallel()
	quiet := func(t *testing.T, of *harness.Cluster) {
		t.Helper()
		p, via := mustProxy(t, of.REST)
		listing := p.tell(lists)
		// Longer than a busy machine may hold up an answer.
		const patient = 5 * silence
		b := mustBare(t, of.NewNamespace(t), via, func(o *kube.Options) { o.Silence = patient })
		before := len(listing.hit)
		watching := p.on(10_000, rule{hits: watches})
		begin := time.Now()
		for range 4 {
			<-watching.hit
			if !b.sink.Current() {
				t.Fatalf("not current after %s of quiet", time.Since(begin))
			}
		}
		if quiet := time.Since(begin); quiet < patient {
			t.Errorf("four watches took %s, less than a silence", quiet)
		}
		if n := len(listing.hit) - before; n != 0 {
			t.Errorf("%d lists", n)
		}
	}
	t.Run("with a watch cache", func(t *testing.T) {
		t.Parallel()
		quiet(t, shared)
	})
	t.Run("without", func(t *testing.T) {
		t.Parallel()
		of, err := harness.NewCluster(cluster.Start(t, cluster.WithFlags("--watch-cache=false")).Kubeconfig())
		if err != nil {
			t.Fatal(err)
		}
		quiet(t, of)
	})
}
