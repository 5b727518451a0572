package gateway_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	gateway "kubernaut.io/gateway"
)

// margin is how much longer than the dedup rule minds it a request is kept.
const margin = time.Minute

func retentionRules() gateway.RetentionRules {
	return gateway.RetentionRules{
		Finished: 24 * time.Hour, Failed: 168 * time.Hour, MaxRequests: 5000,
		Dedup: dedupRules(),
		Storms: gateway.StormRules{
			Rate:    gateway.Threshold{Count: 10, Window: time.Minute},
			Pattern: gateway.Threshold{Count: 5, Window: 2 * time.Minute},
		},
	}
}

func TestRetentionDue(t *testing.T) {
	const day, week = 24 * time.Hour, 168 * time.Hour
	old := createdAt(now.Add(-30 * day))
	closedAgo := func(d time.Duration) requestOption {
		return func(r *gateway.Request) { r.Storm = &gateway.Storm{Closed: now.Add(-d)} }
	}
	tests := []struct {
		name           string
		request        []requestOption
		due, deletable bool
	}{
		{"nobody has picked it up, and it is resolved", []requestOption{old, resolvedAgo(week), seenAgo(week)}, false, false},
		{"in progress for ever", []requestOption{old, since("Processing", week), resolvedAgo(week), seenAgo(week)}, false, false},
		{"completed a day ago and resolved", []requestOption{old, since("Completed", day), resolvedAgo(day)}, true, true},
		{"completed just less than a day ago", []requestOption{old, since("Completed", day-tick), resolvedAgo(day)}, false, true},
		{"within the cooldown", []requestOption{old, since("Completed", 15*time.Minute+margin-tick), resolvedAgo(day)}, false, false},
		{"just after the cooldown", []requestOption{old, since("Completed", 15*time.Minute+margin), resolvedAgo(day)}, false, true},
		{"failed a day ago", []requestOption{old, since("failed", day), resolvedAgo(day)}, false, true},
		{"failed a week ago", []requestOption{old, since("failed", week), resolvedAgo(week)}, true, true},
		{"timed out a day ago", []requestOption{old, since("timedOut", day), resolvedAgo(day)}, false, true},
		{"timed out a week ago", []requestOption{old, since("timedout", week), resolvedAgo(week)}, true, true},
		{"its alert ended too lately", []requestOption{old, since("Completed", week), resolvedAgo(2*time.Minute + margin - tick)}, false, false},
		{"its alert has ended", []requestOption{old, since("Completed", week), resolvedAgo(2*time.Minute + margin)}, true, true},
		{"firing", []requestOption{old, since("Completed", week), seenAgo(day + margin - tick)}, false, false},
		{"unseen for a day", []requestOption{old, since("Completed", week), seenAgo(day + margin)}, true, true},
		{"one of two alerts firing", []requestOption{old, since("Completed", week), resolvedAgo(day), otherOpen}, false, false},
		{"more alerts than are told apart", []requestOption{old, since("Completed", week), resolvedAgo(day), moreAlerts}, false, false},
		{"skipped and resolved", []requestOption{old, since("Skipped", day), resolvedAgo(day)}, true, true},
		{"skipped, still swallowing", []requestOption{old, since("Skipped", week), seenAgo(day + margin - tick)}, false, false},
		{"cancelled, nothing to swallow for a day", []requestOption{old, since("Cancelled", week), seenAgo(day + margin)}, true, true},
		{"of an event, seen a day ago", []requestOption{old, since("Completed", week), counted(3), seenAgo(day + margin)}, true, true},
		{"of an event, seen lately", []requestOption{old, since("Completed", week), counted(3), seenAgo(time.Hour)}, false, false},
		{"being deleted", []requestOption{old, since("Completed", week), resolvedAgo(week), deleting}, false, false},
		{"completed before it was created", []requestOption{createdAt(now), since("Completed", week), resolvedAgo(week)}, false, false},
		{"created when its signal came out of the spool", []requestOption{createdAt(now.Add(-day)), since("Completed", week), seenAgo(week)}, false, false},
		{"a storm that is open", []requestOption{old, since("Completed", week), resolvedAgo(week), closedAgo(0), func(r *gateway.Request) { r.Storm.Closed = time.Time{} }}, false, false},
		{"a storm whose window is not over", []requestOption{old, since("Completed", week), resolvedAgo(week), closedAgo(2*time.Minute + margin - tick)}, false, false},
		{"a storm that is over", []requestOption{old, since("Completed", week), resolvedAgo(week), closedAgo(2*time.Minute + margin)}, true, true},
	}
	rules := retentionRules()
	for _, test := range tests {
		r := request()
		for _, change := range test.request {
			change(r)
		}
		if due, deletable := rules.Due(r, now), rules.Deletable(r, now); due != test.due || deletable != test.deletable {
			t.Errorf("%s: due %t, deletable %t; want %t, %t", test.name, due, deletable, test.due, test.deletable)
		}
	}
}

// dice makes requests and signals whose times lie about the bounds of the rules.
type dice struct{ *rand.Rand }

func (d dice) coin() bool { return d.IntN(2) == 0 }

// ago returns a time before now that lies about one of the rules' bounds.
func (d dice) ago() time.Time {
	bounds := []time.Duration{0, 2 * time.Minute, 5 * time.Minute, 15 * time.Minute, 2 * time.Hour, 24 * time.Hour, 168 * time.Hour}
	off := time.Duration(d.Int64N(int64(4*margin))) - margin
	if d.coin() {
		off = time.Duration(d.Int64N(3)-1) * tick
		if d.coin() {
			off += margin
		}
	}
	return now.Add(-max(0, bounds[d.IntN(len(bounds))]+off))
}

func (d dice) request() *gateway.Request {
	phases := []gateway.Phase{"", "Processing", "Completed", "Failed", "timedOut", "Skipped", "Cancelled"}
	r := &gateway.Request{
		Sequence: 1, Attempt: 1 + d.Int64N(3), Created: d.ago().Truncate(time.Second),
		Phase: phases[d.IntN(len(phases))], Deleting: d.IntN(20) == 0,
	}
	if r.Phase != "" {
		r.PhaseSince = d.ago()
	}
	if r.Phase.Terminal() {
		r.CompletedAt = d.ago()
	}
	r.Episode = gateway.Episode{Occurrences: 1, FirstSeen: d.ago(), LastSeen: d.ago(), MoreAlerts: d.IntN(20) == 0}
	for i := range 1 + d.IntN(2) {
		a := gateway.Alert{Hash: gateway.AlertHash{byte(i + 1)}, StartsAt: d.ago()}
		if d.IntN(3) > 0 {
			a.ResolvedAt = d.ago()
		}
		r.Episode.Alerts = append(r.Episode.Alerts, a)
	}
	if d.IntN(4) == 0 {
		r.Storm = &gateway.Storm{}
		if d.coin() {
			r.Storm.Closed = d.ago()
		}
	}
	return r
}

// signal returns a firing signal received at a time that may still come.
func (d dice) signal() *gateway.Signal {
	s := firing()
	s.Alert = gateway.AlertHash{byte(1 + d.IntN(3))}
	s.StartsAt = d.ago()
	s.ReceivedAt = now.Add(time.Duration(d.Int64N(int64(48*time.Hour))) - margin)
	if d.coin() {
		s.ReceivedAt = now.Add(-margin)
	}
	if d.IntN(4) == 0 {
		s.Type, s.EventID, s.EventCount = gateway.TypeKubernetesEvent, "uid", 1+d.Int64N(9)
	}
	return s
}

// TestDeletionChangesNoVerdict: what is judged after a request was deleted is
// judged as it would have been with it. What was skipped or cancelled may go
// once there was nothing to swallow for a day.
func TestDeletionChangesNoVerdict(t *testing.T) {
	t.Parallel()
	d := dice{rand.New(rand.NewPCG(1, 2))}
	spent, swallowing := 0, 0
	for range 300_000 {
		rules := retentionRules()
		if d.IntN(4) == 0 {
			rules.Dedup.Mode = gateway.ModeWindow
		}
		if d.IntN(4) == 0 {
			rules.Dedup.StaleAfter, rules.Dedup.Cooldown = 72*time.Hour, 36*time.Hour
		}
		r := d.request()
		_, resolved := r.Episode.Resolved()
		unseen := now.Sub(r.Episode.LastSeen)
		deletable := rules.Deletable(r, now)
		switch {
		case !deletable && rules.Due(r, now):
			t.Fatalf("due, but not deletable: %+v", r)
		case !deletable:
			continue
		case !r.Phase.Terminal() || r.Deleting:
			t.Fatalf("an unfinished one is deletable: %+v", r)
		case !resolved && unseen < 24*time.Hour:
			t.Fatalf("a firing one is deletable: %+v", r)
		case !rules.Spent(r, now):
			swallowing++
			if !r.Phase.Dropped() || resolved {
				t.Fatalf("deletable, but not spent: %+v", r)
			}
			continue
		}
		spent++
		for range 4 {
			s := d.signal()
			kept, deleted := rules.Dedup.Fire(s, r, gateway.Memory{}), rules.Dedup.Fire(s, nil, gateway.Memory{})
			if kept.Outcome != deleted.Outcome || kept.Attempt != deleted.Attempt || kept.Manual != deleted.Manual {
				t.Fatalf("a signal received at %s, begun at %s:\nwith the request %+v\nwithout it     %+v\n%+v", s.ReceivedAt, s.StartsAt, kept, deleted, r)
			}
		}
	}
	t.Logf("%d spent, %d swallowing and unseen for a day", spent, swallowing)
	if spent < 5000 || swallowing < 200 {
		t.Error("too few were looked at")
	}
}

func TestLeaveIsInOrder(t *testing.T) {
	leaving := func(n byte, ago time.Duration, due bool) gateway.Leaving {
		return gateway.Leaving{Fingerprint: gateway.Fingerprint{n}, Sequence: 1, CompletedAt: now.Add(-ago), Due: due}
	}
	may := []gateway.Leaving{
		leaving(1, time.Hour, false), leaving(2, 30*time.Hour, true), leaving(3, 2*time.Hour, false), leaving(4, 40*time.Hour, true),
		leaving(5, 3*time.Hour, false), leaving(6, 3*time.Hour, false),
	}
	for _, test := range []struct {
		limit, total int
		due, tooMany []byte
	}{
		{10, 6, []byte{4, 2}, nil},
		{10, 12, []byte{4, 2}, nil},
		{10, 13, []byte{4, 2}, []byte{5}},
		{10, 15, []byte{4, 2}, []byte{5, 6, 3}},
		{10, 100, []byte{4, 2}, []byte{5, 6, 3, 1}},
		{0, 100, []byte{4, 2}, nil},
	} {
		t.Run(fmt.Sprintf("%d of %d", test.total, test.limit), func(t *testing.T) {
			due, tooMany := gateway.RetentionRules{MaxRequests: test.limit}.Leave(slices.Clone(may), test.total)
			for name, pair := range map[string]struct {
				got  []gateway.Leaving
				want []byte
			}{"due": {due, test.due}, "too many": {tooMany, test.tooMany}} {
				var got []byte
				for _, l := range pair.got {
					got = append(got, l.Fingerprint[0])
				}
				if !slices.Equal(got, pair.want) {
					t.Errorf("%s: %v, want %v", name, got, pair.want)
				}
			}
		})
	}
}
