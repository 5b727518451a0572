package backfill_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"kubernaut.io/gateway/backfill"
)

// world is what an alert rule saw: at which grid points each alert fired.
type world struct {
	step, points int
	gap          int
	o            backfill.Options
	// fired is by group and pod.
	fired map[string]map[string][]bool
}

func newWorld(random *rand.Rand) *world {
	steps := []int{15, 30, 60, 200}
	seconds := func(all ...int) time.Duration { return time.Duration(all[random.IntN(len(all))]) * time.Second }
	w := &world{
		step: steps[random.IntN(len(steps))], points: 40 + random.IntN(300),
		fired: map[string]map[string][]bool{},
		o: backfill.Options{
			GroupWait: seconds(1, 30, 45, 400), GroupInterval: seconds(7, 60, 300), RepeatInterval: seconds(60, 600, 2400),
			Gap: seconds(60, 100, 300),
		},
	}
	w.gap = max(int(w.o.Gap/time.Second), w.step*5/2)
	for g := range 1 + random.IntN(3) {
		pods := map[string][]bool{}
		for p := range 1 + random.IntN(4) {
			pods[fmt.Sprintf("pod-%d", p)] = flicker(random, w.points)
		}
		w.fired[fmt.Sprintf("ns-%d", g)] = pods
	}
	// There are always two times next to each other, to know the step by.
	w.fired["ns-0"]["pod-0"][w.points-1], w.fired["ns-0"]["pod-0"][w.points-2] = true, true
	return w
}

// flicker fires for a while and is away for a while.
func flicker(random *rand.Rand, points int) []bool {
	fired := make([]bool, points)
	on := random.IntN(2) == 0
	for i := 0; i < points; {
		for range 1 + random.IntN(1+random.IntN(60)) {
			if i < points {
				fired[i] = on
			}
			i++
		}
		on = !on
	}
	return fired
}

// text is the answer of query_range.
func (w *world) text() string {
	var all []string
	for ns, pods := range w.fired {
		for pod, fired := range pods {
			var samples []string
			for i, on := range fired {
				if on {
					samples = append(samples, fmt.Sprintf(`[%d,"1"]`, start+i*w.step))
				}
			}
			if len(samples) > 0 {
				all = append(all, fmt.Sprintf(`{"metric":{"__name__":"ALERTS","alertname":"A","alertstate":"firing","namespace":%q,"pod":%q},"values":[%s]}`,
					ns, pod, strings.Join(samples, ",")))
			}
		}
	}
	return queried(all...)
}

// active tells for each second whether an alert fires: with a sample, or where
// the next one is near enough, and until the first evaluation without it.
func (w *world) active(fired []bool, seconds int) []bool {
	active := make([]bool, seconds)
	last := (w.points - 1) * w.step
	for s := range active {
		before := min(s, last) / w.step
		for before >= 0 && !fired[before] {
			before--
		}
		if before < 0 {
			continue
		}
		next := before + 1
		for next < w.points && !fired[next] {
			next++
		}
		until := min(next*w.step, last)
		near := until-before*w.step <= w.gap
		active[s] = near || s < (before+1)*w.step
	}
	return active
}

// known is an alert that a modelled group holds; endsAt is -1 while it fires.
type known struct{ startsAt, endsAt int }

// model is one group of a simple Alertmanager, second by second.
type model struct {
	w        *world
	ns       string
	store    map[string]*known
	timer    int
	logged   bool
	notified int
	firing   map[string]bool
	resolved map[string]bool
	out      []string
}

func (m *model) run() {
	last := (m.w.points - 1) * m.w.step
	wait, interval := int(m.w.o.GroupWait/time.Second), int(m.w.o.GroupInterval/time.Second)
	seconds := last + wait + interval + 2
	active := map[string][]bool{}
	for pod, fired := range m.w.fired[m.ns] {
		active[pod] = m.w.active(fired, seconds)
	}
	running := false
	for s := range seconds {
		for pod, on := range active {
			was := s > 0 && on[s-1]
			switch {
			case on[s] && !was:
				m.store[pod] = &known{s, -1}
				if !running {
					running, m.timer = true, s+wait
				}
			case !on[s] && was:
				m.store[pod].endsAt = s
			}
		}
		if running && s == m.timer {
			m.flush(s, s > last)
			running, m.timer = len(m.store) > 0, s+interval
		}
	}
}

func (m *model) flush(now int, over bool) {
	firing, resolved := map[string]bool{}, map[string]bool{}
	for pod, a := range m.store {
		if a.endsAt >= 0 {
			resolved[pod] = true
		} else {
			firing[pod] = true
		}
	}
	if m.needsUpdate(now, over, firing, resolved) {
		var line strings.Builder
		fmt.Fprintf(&line, "%06d %s", now, m.ns)
		for _, pod := range slices.Sorted(maps.Keys(m.store)) {
			fmt.Fprintf(&line, " %s %d %d", pod, m.store[pod].startsAt, m.store[pod].endsAt)
		}
		m.out = append(m.out, line.String())
		m.logged, m.notified, m.firing, m.resolved = true, now, firing, resolved
	}
	for pod := range resolved {
		delete(m.store, pod)
	}
}

// needsUpdate is Alertmanager's, but that nothing is repeated once the data are
// over.
func (m *model) needsUpdate(now int, over bool, firing, resolved map[string]bool) bool {
	subset := func(of, set map[string]bool) bool {
		for k := range of {
			if !set[k] {
				return false
			}
		}
		return true
	}
	switch {
	case !m.logged:
		return len(firing) > 0
	case !subset(firing, m.firing):
		return true
	case len(firing) == 0:
		return len(m.firing) > 0
	case !subset(resolved, m.resolved):
		return true
	default:
		return !over && m.notified < now-int(m.w.o.RepeatInterval/time.Second)
	}
}

// shown writes a webhook as the model does.
func (s sent) shown() string {
	var line strings.Builder
	fmt.Fprintf(&line, "%06d %s", s.At.Unix()-start, s.Alerts[0].Labels["namespace"])
	for _, a := range s.Alerts {
		end := int64(-1)
		if a.Status == "resolved" {
			end = a.EndsAt.Unix() - start
		}
		fmt.Fprintf(&line, " %s %d %d", a.Labels["pod"], a.StartsAt.Unix()-start, end)
	}
	return line.String()
}

func TestReadIsAsTheModel(t *testing.T) {
	webhooks := 0
	for seed := range uint64(80) {
		w := newWorld(rand.New(rand.NewPCG(seed, 1)))
		var want []string
		for ns := range w.fired {
			m := &model{w: w, ns: ns, store: map[string]*known{}}
			m.run()
			want = append(want, m.out...)
		}
		slices.Sort(want)
		all, err := collect(t, w.text(), w.o)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, s := range all {
			got = append(got, s.shown())
		}
		if !slices.Equal(got, want) {
			t.Fatalf("seed %d, %+v, step %d:\ngot\n%s\nwant\n%s", seed, w.o, w.step, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		webhooks += len(got)
	}
	if webhooks < 5_000 {
		t.Errorf("%d webhooks are too few to show much", webhooks)
	}
}
