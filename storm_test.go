package gateway_test

import (
	"testing"
	"time"

	gateway "kubernaut.io/gateway"
)

// stormRules are the contract's defaults.
func stormRules() gateway.StormRules {
	return gateway.StormRules{
		Rate:    gateway.Threshold{Count: 10, Window: time.Minute},
		Pattern: gateway.Threshold{Count: 5, Window: 2 * time.Minute},
		Quiet:   6 * time.Minute, MaxDuration: time.Hour, MaxMembers: 5000,
	}
}

func TestStormOpens(t *testing.T) {
	t.Parallel()
	tests := []struct {
		kind gateway.StormKind
		rank int
		want bool
	}{
		{gateway.StormRate, 1, false},
		{gateway.StormRate, 9, false},
		{gateway.StormRate, 10, false},
		{gateway.StormRate, 11, true},
		{gateway.StormRate, 100, true},
		{gateway.StormPattern, 4, false},
		{gateway.StormPattern, 5, false},
		{gateway.StormPattern, 6, true},
	}
	for _, test := range tests {
		if got := stormRules().Opens(test.kind, test.rank); got != test.want {
			t.Errorf("%s storm at number %d: %v, want %v", test.kind, test.rank, got, test.want)
		}
	}
	if (gateway.StormRules{}).Opens(gateway.StormRate, 1000) {
		t.Error("a storm without a threshold opened")
	}
}

func TestStormEnds(t *testing.T) {
	t.Parallel()
	// storm was created and got its last member so long ago.
	storm := func(created, last time.Duration, members int) *gateway.Request {
		s := &gateway.Storm{Members: members}
		if last >= 0 {
			s.LastMember = now.Add(-last)
		}
		return &gateway.Request{Created: now.Add(-created), Storm: s}
	}
	const none = -1
	tests := []struct {
		name string
		open []*gateway.Request
		want bool
	}{
		{"fresh", []*gateway.Request{storm(time.Minute, 0, 1)}, false},
		{"just before quiet", []*gateway.Request{storm(10*time.Minute, 6*time.Minute-tick, 20)}, false},
		{"exactly quiet", []*gateway.Request{storm(10*time.Minute, 6*time.Minute, 20)}, true},
		{"just after quiet", []*gateway.Request{storm(10*time.Minute, 6*time.Minute+tick, 20)}, true},
		{"no member yet, just before quiet", []*gateway.Request{storm(6*time.Minute-tick, none, 0)}, false},
		{"no member yet, exactly quiet", []*gateway.Request{storm(6*time.Minute, none, 0)}, true},
		{"just before the longest duration", []*gateway.Request{storm(time.Hour-tick, 0, 20)}, false},
		{"exactly the longest duration", []*gateway.Request{storm(time.Hour, 0, 20)}, true},
		{"one member short", []*gateway.Request{storm(time.Minute, 0, 4999)}, false},
		{"full", []*gateway.Request{storm(time.Minute, 0, 5000)}, true},
		{"of two priorities one is quiet", []*gateway.Request{storm(20*time.Minute, 10*time.Minute, 20), storm(20*time.Minute, time.Minute, 20)}, false},
		{"of two priorities one has begun long ago", []*gateway.Request{storm(time.Hour, time.Minute, 20), storm(time.Minute, time.Minute, 20)}, true},
		{"two priorities are full together", []*gateway.Request{storm(time.Minute, 0, 2500), storm(time.Minute, 0, 2500)}, true},
		{"two priorities are one short together", []*gateway.Request{storm(time.Minute, 0, 2500), storm(time.Minute, 0, 2499)}, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := stormRules().Ended(test.open, now); got != test.want {
				t.Errorf("ended %v, want %v", got, test.want)
			}
		})
	}
}

func TestGroups(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		resource gateway.Resource
		cluster  string
		want     gateway.Group
		text     string
	}{
		{"a pod", gateway.Resource{APIVersion: "v1", Kind: "Pod", Namespace: "shop", Name: "cart"}, "home", gateway.Group{Name: "shop"}, "shop"},
		{"a namespace is its own", gateway.Resource{APIVersion: "v1", Kind: "Namespace", Name: "shop"}, "home", gateway.Group{Name: "shop"}, "shop"},
		{"a Namespace of another API is none", gateway.Resource{APIVersion: "acme.io/v1", Kind: "Namespace", Name: "shop"}, "home", gateway.Group{Name: "Namespace"}, "Namespace"},
		{"a node goes by its kind", gateway.Resource{APIVersion: "v1", Kind: "Node", Name: "n1"}, "home", gateway.Group{Name: "Node"}, "Node"},
		{"nothing", gateway.Resource{}, "home", gateway.Group{Name: "None"}, "None"},
		{"another cluster", gateway.Resource{APIVersion: "v1", Kind: "Pod", Namespace: "shop", Name: "cart"}, "away", gateway.Group{Cluster: "away", Name: "shop"}, "away/shop"},
		{"no cluster", gateway.Resource{APIVersion: "v1", Kind: "Pod", Namespace: "shop", Name: "cart"}, "", gateway.Group{Name: "shop"}, "shop"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			local := "home"
			if test.cluster == "" {
				local = ""
			}
			got := gateway.Groups(&gateway.Signal{Name: "Fault", Resource: test.resource, Cluster: test.cluster}, local)
			rate, pattern := test.want, test.want
			rate.Kind = gateway.StormRate
			pattern.Kind, pattern.Name = gateway.StormPattern, "Fault"
			if got != [2]gateway.Group{rate, pattern} {
				t.Errorf("groups %+v, want %+v and %+v", got, rate, pattern)
			}
			if got[0].String() != test.text {
				t.Errorf("the group is written %q, want %q", got[0], test.text)
			}
		})
	}
}

func TestGroupFingerprint(t *testing.T) {
	t.Parallel()
	groups := []gateway.Group{
		{Kind: gateway.StormRate, Name: "shop"},
		{Kind: gateway.StormPattern, Name: "shop"},
		{Kind: gateway.StormRate, Name: "cart"},
		{Kind: gateway.StormRate, Cluster: "away", Name: "shop"},
		{Kind: gateway.StormRate, Cluster: "awa", Name: "yshop"},
		{Kind: gateway.StormRate, Cluster: "away/shop"},
	}
	seen := make(map[gateway.Fingerprint]string)
	for _, g := range groups {
		for _, p := range gateway.Priorities {
			f := g.Fingerprint(p)
			if other, ok := seen[f]; ok {
				t.Errorf("%+v %s has the fingerprint of %s", g, p, other)
			}
			seen[f] = g.String() + " " + string(p)
		}
	}
	const golden = "7115b055008582b0833d8c4d2b632bda4a022262ea2d3333bcf29240283dcc54"
	if got := groups[0].Fingerprint(gateway.P1).String(); got != golden {
		t.Errorf("fingerprint %s, want %s", got, golden)
	}
}
