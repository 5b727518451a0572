package chaos_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"kubernaut.io/gateway"
	"kubernaut.io/gateway/adapter/alertmanager"
	"kubernaut.io/gateway/api/v1alpha1"
	"kubernaut.io/gateway/test/chaos"
	"kubernaut.io/gateway/test/fleet"
	"kubernaut.io/gateway/test/harness"
)

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

func second(n int) time.Time { return noon.Add(time.Duration(n) * time.Second) }

// pod is an alert that began at second 0.
func pod(name string) harness.Alert { return harness.Firing("Fault", "shop", name).Since(noon) }

func ended(a harness.Alert) harness.Alert {
	a.Status, a.EndsAt = "resolved", second(5)
	return a
}

// identify returns what the gateway tells alerts apart by.
func identify(tb testing.TB, a harness.Alert) (fingerprint, alert string) {
	tb.Helper()
	body, err := json.Marshal(harness.Webhook(a))
	if err != nil {
		tb.Fatal(err)
	}
	batch, err := alertmanager.Decode(body)
	if err != nil {
		tb.Fatal(err)
	}
	s := &batch.Signals[0]
	s.Source, s.ReceivedAt = "prometheus", noon
	s.Normalize(gateway.Identity{ByOwner: true})
	return s.Fingerprint.String(), s.Alert.String()
}

// told is an exchange at a second, of one alert that is answered so.
func told(tb testing.TB, at int, a harness.Alert, outcome gateway.Outcome, why gateway.Reason, name string) fleet.Exchange {
	tb.Helper()
	fingerprint, _ := identify(tb, a)
	body, err := json.Marshal(harness.Webhook(a))
	if err != nil {
		tb.Fatal(err)
	}
	answer := fmt.Sprintf(`{"signals":[{"index":0,"fingerprint":%q,"outcome":%q,"reason":%q,"remediationRequest":{"name":%q}}]}`,
		fingerprint, outcome, why, name)
	return fleet.Exchange{Sent: second(at), Answered: second(at), Status: 202, Body: body, Answer: []byte(answer)}
}

// life is a request for an alert with a state for each revision from first on.
func life(tb testing.TB, name string, a harness.Alert, first int64, states ...func(*v1alpha1.RemediationRequest)) *chaos.Life {
	tb.Helper()
	fingerprint, _ := identify(tb, a)
	l := &chaos.Life{Name: name, UID: types.UID(fmt.Sprintf("%s-%d", name, first))}
	rr := &v1alpha1.RemediationRequest{}
	rr.Name, rr.Spec.SignalFingerprint = name, fingerprint
	rr.CreationTimestamp = metav1.NewTime(noon)
	l.Versions = append(l.Versions, chaos.Version{Revision: first, Object: rr})
	for i, change := range states {
		next := l.Last().DeepCopy()
		change(next)
		l.Versions = append(l.Versions, chaos.Version{Revision: first + int64(i) + 1, Object: next})
	}
	return l
}

func gone(l *chaos.Life, revision int64, at int, byPeople bool) *chaos.Life {
	l.Gone, l.GoneSeen, l.ByPeople = revision, second(at), byPeople
	return l
}

func phase(p string) func(*v1alpha1.RemediationRequest) {
	return func(rr *v1alpha1.RemediationRequest) { rr.Status.OverallPhase = p }
}

func resolved(alert string) func(*v1alpha1.RemediationRequest) {
	return func(rr *v1alpha1.RemediationRequest) {
		at := metav1.NewMicroTime(second(6))
		rr.Status.SignalState = v1alpha1.StateResolved
		rr.Status.Deduplication = &v1alpha1.DeduplicationStatus{
			OccurrenceCount: 1, Alerts: []v1alpha1.AlertStatus{{Hash: alert, ResolvedAt: &at}},
		}
	}
}

func occurrences(n int64) func(*v1alpha1.RemediationRequest) {
	return func(rr *v1alpha1.RemediationRequest) {
		rr.Status.Deduplication = &v1alpha1.DeduplicationStatus{OccurrenceCount: n}
	}
}

// storm makes a request a storm's with these members, and a count of them.
func storm(count int64, fingerprints ...string) func(*v1alpha1.RemediationRequest) {
	return func(rr *v1alpha1.RemediationRequest) {
		rr.Spec.SignalFingerprint, rr.Spec.Storm = strings.Repeat("0", 64), &v1alpha1.StormSpec{}
		rr.Status.Storm = &v1alpha1.StormStatus{MemberCount: count}
		for _, f := range fingerprints {
			m := v1alpha1.StormMember{}
			m.Fingerprint, m.State = f, v1alpha1.StateFiring
			rr.Status.Storm.Members = append(rr.Status.Storm.Members, m)
		}
	}
}

func TestReconcile(t *testing.T) {
	a := pod("a")
	fingerprint, hash := identify(t, a)
	created := told(t, 1, a, gateway.Created, gateway.ReasonNewEpisode, "rr-1")
	spooled := told(t, 1, a, gateway.Spooled, gateway.ReasonSpooled, "")
	end := told(t, 6, ended(a), gateway.Resolved, gateway.ReasonEpisodeEnded, "rr-1")
	none := func(*v1alpha1.RemediationRequest) {}
	refused := created
	refused.Status = 500
	short := created
	short.Answer = []byte(`{"signals":[]}`)

	for name, test := range map[string]struct {
		exchanges []fleet.Exchange
		lives     []*chaos.Life
		// lost, doubled and wrong are parts of what is found, empty for nothing.
		lost, doubled, wrong string
	}{
		"a request":                        {exchanges: []fleet.Exchange{created}, lives: []*chaos.Life{life(t, "rr-1", a, 1)}},
		"no request":                       {exchanges: []fleet.Exchange{created}, lost: "no such request"},
		"a request of another":             {exchanges: []fleet.Exchange{created}, lives: []*chaos.Life{life(t, "rr-1", pod("b"), 1)}, lost: "no such request"},
		"deleted by people":                {exchanges: []fleet.Exchange{created}, lives: []*chaos.Life{gone(life(t, "rr-1", a, 1), 5, 3, true)}},
		"deleted by the gateway":           {exchanges: []fleet.Exchange{created}, lives: []*chaos.Life{gone(life(t, "rr-1", a, 1), 5, 3, false)}, lost: "nothing stands for it"},
		"deleted long before":              {exchanges: []fleet.Exchange{created}, lives: []*chaos.Life{gone(life(t, "rr-1", a, 1), 5, -300, true)}, lost: "nothing stands for it"},
		"spooled and drained":              {exchanges: []fleet.Exchange{spooled}, lives: []*chaos.Life{life(t, "rr-1", a, 1)}},
		"spooled and overtaken by its end": {exchanges: []fleet.Exchange{spooled, told(t, 6, ended(a), gateway.Resolved, gateway.ReasonNothingToResolve, "")}},
		"spooled and lost":                 {exchanges: []fleet.Exchange{spooled}, lost: "nothing stands for it"},
		"an outcome too few":               {exchanges: []fleet.Exchange{short}, lost: "with 0 outcomes"},
		"a rejected one in a 2xx":          {exchanges: []fleet.Exchange{told(t, 1, a, gateway.Rejected, gateway.ReasonRefused, "")}, lost: "no place"},
		"another status than 503":          {exchanges: []fleet.Exchange{refused}, wrong: "status 500"},
		"late without an end":              {exchanges: []fleet.Exchange{told(t, 1, a, gateway.Resolved, gateway.ReasonLateFiring, "")}, lost: "had not ended"},
		"late":                             {exchanges: []fleet.Exchange{created, end, told(t, 7, a, gateway.Resolved, gateway.ReasonLateFiring, "rr-1")}, lives: []*chaos.Life{life(t, "rr-1", a, 1, resolved(hash))}},
		"an end":                           {exchanges: []fleet.Exchange{created, end}, lives: []*chaos.Life{life(t, "rr-1", a, 1, resolved(hash))}},
		"an end that was forgotten":        {exchanges: []fleet.Exchange{created, end}, lives: []*chaos.Life{life(t, "rr-1", a, 1)}, lost: "never said so"},
		"two requests of an episode": {
			exchanges: []fleet.Exchange{created}, lives: []*chaos.Life{life(t, "rr-1", a, 1), life(t, "rr-2", a, 2)}, doubled: "was created while",
		},
		"the second one withdrawn": {
			exchanges: []fleet.Exchange{created}, lives: []*chaos.Life{life(t, "rr-1", a, 1), gone(life(t, "rr-2", a, 2), 3, 2, false)},
		},
		"two requests, one finished before": {
			exchanges: []fleet.Exchange{created}, lives: []*chaos.Life{life(t, "rr-1", a, 1, phase("Completed")), life(t, "rr-2", a, 3)},
		},
		"two requests, one finished after": {
			exchanges: []fleet.Exchange{created}, lives: []*chaos.Life{life(t, "rr-1", a, 1, none, none, phase("Completed")), life(t, "rr-2", a, 3)},
			doubled: "was created while",
		},
		"a member": {
			exchanges: []fleet.Exchange{told(t, 1, a, gateway.Member, gateway.ReasonStormJoined, "rr-s")},
			lives:     []*chaos.Life{life(t, "rr-s", pod("x"), 1, storm(1, fingerprint))},
		},
		"a member that is lost": {
			exchanges: []fleet.Exchange{told(t, 1, a, gateway.Member, gateway.ReasonStormJoined, "rr-s")},
			lives:     []*chaos.Life{life(t, "rr-s", pod("x"), 1, storm(1, fingerprint), storm(0))}, lost: "nothing stands for it",
		},
		"a member that is struck": {
			exchanges: []fleet.Exchange{told(t, 1, a, gateway.Member, gateway.ReasonStormJoined, "rr-s")},
			lives:     []*chaos.Life{life(t, "rr-s", pod("x"), 1, storm(1, fingerprint), storm(0)), life(t, "rr-1", a, 2)},
		},
		"request and member": {
			exchanges: []fleet.Exchange{created},
			lives:     []*chaos.Life{life(t, "rr-s", pod("x"), 1, storm(1, fingerprint)), life(t, "rr-1", a, 3)}, doubled: "is open both",
		},
		"a count that is not its list's": {lives: []*chaos.Life{life(t, "rr-s", pod("x"), 1, storm(2, fingerprint))}, wrong: "counts 2 members"},
		"a member twice":                 {lives: []*chaos.Life{life(t, "rr-s", pod("x"), 1, storm(2, fingerprint, fingerprint))}, wrong: "lists a member twice"},
		"more than was sent":             {exchanges: []fleet.Exchange{created}, lives: []*chaos.Life{life(t, "rr-1", a, 1, occurrences(3))}, wrong: "counts 3 occurrences of 1"},
	} {
		t.Run(name, func(t *testing.T) {
			found := chaos.Reconcile(chaos.Evidence{Exchanges: test.exchanges, Lives: test.lives, LateFiring: 2 * time.Second})
			for _, part := range []struct {
				what string
				got  []string
				want string
			}{{"lost", found.Lost, test.lost}, {"doubled", found.Doubled, test.doubled}, {"wrong", found.Wrong, test.wrong}} {
				switch all := strings.Join(part.got, "\n"); {
				case part.want == "" && all != "":
					t.Errorf("%s: %s", part.what, all)
				case !strings.Contains(all, part.want):
					t.Errorf("%s: %q, want %q in it", part.what, all, part.want)
				}
			}
		})
	}
}
