package gateway_test

import (
	"testing"
	"time"

	gateway "kubernaut.io/gateway"
)

func TestSilent(t *testing.T) {
	t.Parallel()
	const hour = time.Hour
	at := func(d time.Duration) time.Time { return time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC).Add(d) }
	usual := gateway.Heartbeat{Interval: 12 * hour, Grace: 5 * time.Minute}
	expected := gateway.Heartbeat{Interval: hour, Grace: 5 * time.Minute, Expected: true}
	for name, c := range map[string]struct {
		rule gateway.Heartbeat
		know gateway.Signs
		// listening is since when this replica listens.
		listening time.Duration
		// from is when it is silent, and never where that is 0.
		from time.Duration
	}{
		"nothing is expected of who never gave a sign": {rule: usual},
		"an end alone is no sign":                      {rule: usual, know: gateway.Signs{Ended: at(hour)}},
		"nobody has waited yet":                        {rule: expected},
		"the first sign stays away":                    {rule: expected, know: gateway.Signs{Since: at(0)}, from: hour + 5*time.Minute},
		"the next sign stays away":                     {rule: usual, know: gateway.Signs{Last: at(hour)}, from: 13*hour + 5*time.Minute},
		"the sender tells of the end":                  {rule: usual, know: gateway.Signs{Last: at(hour), Ended: at(2 * hour)}, from: 2*hour + 5*time.Minute},
		"a sign after the end":                         {rule: usual, know: gateway.Signs{Last: at(2 * hour), Ended: at(hour)}, from: 14*hour + 5*time.Minute},
		"a sign after the silence":                     {rule: usual, know: gateway.Signs{Last: at(2 * hour), Silent: at(hour)}, from: 14*hour + 5*time.Minute},
		"a restart after the sign was due":             {rule: usual, know: gateway.Signs{Last: at(0)}, listening: 20 * hour, from: 20*hour + 5*time.Minute},
		"a restart before the sign is due":             {rule: usual, know: gateway.Signs{Last: at(0)}, listening: hour, from: 12*hour + 5*time.Minute},
		"a restart after the silence was found":        {rule: usual, know: gateway.Signs{Last: at(0), Silent: at(13 * hour)}, listening: 20 * hour, from: 12*hour + 5*time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if c.from == 0 {
				if now := at(1000 * hour); c.rule.Silent(c.know, at(c.listening), now) {
					t.Error("it is silent")
				}
				return
			}
			if c.rule.Silent(c.know, at(c.listening), at(c.from-1)) {
				t.Error("it is silent too early")
			}
			if !c.rule.Silent(c.know, at(c.listening), at(c.from)) {
				t.Error("it is not silent in time")
			}
		})
	}
}

func TestSignsMerge(t *testing.T) {
	t.Parallel()
	at := func(minute int) time.Time { return time.Date(2026, 3, 2, 0, minute, 0, 0, time.UTC) }
	a := gateway.Signs{Last: at(3), Ended: at(1), Since: at(2)}
	b := gateway.Signs{Last: at(2), Ended: at(4), Since: at(1), Silent: at(5)}
	want := gateway.Signs{Last: at(3), Ended: at(4), Since: at(1), Silent: at(5)}
	for name, got := range map[string]gateway.Signs{
		"a with b": a.Merge(b), "b with a": b.Merge(a), "again": a.Merge(b).Merge(a), "with nothing": want.Merge(gateway.Signs{}), "nothing with": gateway.Signs{}.Merge(want),
	} {
		if !got.Equal(want) {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if a.Equal(b) {
		t.Error("they know the same")
	}
}
