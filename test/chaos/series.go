package chaos

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"time"

	"kubernaut.io/gateway/test/harness"
)

func compare[T ~string | ~int64](a, b T) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	default:
		return 0
	}
}

// series is an alert of Prometheus over a round: when it fires, and when not.
type series struct {
	labels map[string]string
	// turns are the times, since the round began, at which it begins to fire
	// and ends to, alternating.
	turns []time.Duration
}

// group is what one Alertmanager route notifies of together.
type group []*series

// Counts of a round's series. Most namespaces stay below a storm's threshold of
// 10 new episodes; one doesn't, and one fault is on many resources.
const (
	groupsPerSender  = 6
	seriesPerGroup   = 6
	stormSeries      = 24
	patternSeries    = 9
	groupsForManager = 6
)

// cast makes up a round's series: groups for the scripted senders and for the
// Alertmanagers.
func cast(random *rand.Rand, length time.Duration) (scripted, managed []group) {
	number := 0
	one := func(labels map[string]string) *series {
		number++
		s := &series{labels: map[string]string{
			"alertname": fmt.Sprintf("Fault%d", number), "severity": pick(random, "critical", "warning", "info"),
		}}
		maps.Copy(s.labels, labels)
		at := time.Duration(random.Int64N(int64(length * 6 / 10)))
		for at < length && len(s.turns) < 6 {
			s.turns = append(s.turns, at)
			at += length/10 + time.Duration(random.Int64N(int64(length/2)))
		}
		return s
	}
	small := func(name string) group {
		var g group
		for i := range seriesPerGroup {
			labels := map[string]string{"namespace": name, "pod": fmt.Sprintf("pod-%d", i)}
			s := one(labels)
			g = append(g, s)
			if i == 0 {
				// Two containers of a pod are two alerts of one episode.
				s.labels["container"] = "first"
				labels["alertname"], labels["container"] = s.labels["alertname"], "second"
				g = append(g, one(labels))
			}
		}
		return g
	}
	for i := range groupsPerSender {
		scripted = append(scripted, small(fmt.Sprintf("shop-%d", i)))
	}
	for i := range groupsForManager {
		managed = append(managed, small(fmt.Sprintf("bank-%d", i)))
	}
	var storm, pattern group
	burst := time.Duration(random.Int64N(int64(length / 2)))
	for i := range stormSeries {
		s := one(map[string]string{"namespace": "crowd", "pod": fmt.Sprintf("pod-%d", i)})
		s.turns[0] = burst + time.Duration(random.Int64N(int64(length/10)))
		s.turns = s.turns[:min(len(s.turns), 1+random.IntN(2))]
		if len(s.turns) > 1 {
			s.turns[1] = s.turns[0] + length/3
		}
		storm = append(storm, s)
	}
	for i := range patternSeries {
		s := one(map[string]string{"alertname": "SameEverywhere", "namespace": fmt.Sprintf("zone-%d", i), "pod": "pod"})
		s.turns = s.turns[:1]
		pattern = append(pattern, s)
	}
	return append(scripted, storm, pattern), managed
}

func pick[T any](random *rand.Rand, from ...T) T { return from[random.IntN(len(from))] }

// at returns the alert as Prometheus would send it at a time of the round that
// began at begin, and whether it has fired at all by then.
func (s *series) at(begin time.Time, elapsed time.Duration) (alert harness.Alert, known bool) {
	i := 0
	for i < len(s.turns) && s.turns[i] <= elapsed {
		i++
	}
	if i == 0 {
		return harness.Alert{}, false
	}
	firing := i%2 == 1
	start := s.turns[i-1]
	if !firing {
		start = s.turns[i-2]
	}
	alert = harness.Alert{Status: "firing", Labels: s.labels, StartsAt: begin.Add(start)}
	if !firing {
		alert.Status, alert.EndsAt = "resolved", begin.Add(s.turns[i-1])
	}
	return alert, true
}
