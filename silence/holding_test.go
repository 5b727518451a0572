package silence_test

import (
	"reflect"
	"testing"
	"time"

	gateway "kubernaut.io/gateway"
	"kubernaut.io/gateway/silence"
)

func TestHolding(t *testing.T) {
	t.Parallel()
	s := mustNew(t, options(
		gateway.Silence{Name: "hour", Namespaces: []string{"shop"}, StartsAt: begin, EndsAt: end},
		gateway.Silence{Name: "nightly", Namespaces: []string{"*"}, Window: gateway.SilenceWindow{Cron: "30 3 * * *", Duration: time.Hour}},
	))
	hour := silence.Holding{ID: "hour", From: silence.FromConfig, Until: end}
	nightly := silence.Holding{ID: "nightly", From: silence.FromConfig}
	for name, test := range map[string]struct {
		at   time.Time
		want []silence.Holding
	}{
		"before":        {begin.Add(-time.Minute), nil},
		"one":           {begin, []silence.Holding{hour}},
		"both":          {begin.Add(45 * time.Minute), []silence.Holding{hour, nightly}},
		"by its window": {end, []silence.Holding{nightly}},
	} {
		if got := s.Holding(test.at); !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s: %+v, want %+v", name, got, test.want)
		}
	}
	if got := mustNew(t, options()).Holding(begin); got != nil {
		t.Errorf("without silences: %+v", got)
	}
}
