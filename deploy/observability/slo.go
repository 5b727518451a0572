package main

import (
	"fmt"
	"strconv"
	"time"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
)

const day = 24 * time.Hour

// objective is a promise about a share of webhooks, which leaves a budget of those
// that may miss it.
type objective struct {
	// name is of the alert, recorded of the series that it is computed from.
	name, recorded string
	// budget is the share that may miss it, in 30 days.
	budget float64
	// missed and all are expressions for the rates a second of webhooks that missed it, and
	// of those that count, with %[1]s for the window.
	missed, all string
	// what says what is promised, and cause what misses it, for people.
	what, cause string
}

// slowAfter is within how many seconds an accepted webhook has to be answered. Prometheus 3
// writes whole numbers of buckets with a fraction.
const slowAfter = `le=~"1|1[.]0"`

// What a sender is refused for exceeding its own limits is its doing, and is told by an
// alert of its own; what is refused for all that is in flight is ours.
const failed = `(` +
	`sum ` + by + ` (rate(gateway_webhooks_refused_total{code=~"5..|429"}[%[1]s]))` +
	` - sum ` + by + ` (rate(gateway_webhooks_limited_total{limit=~"rate|client"}[%[1]s]))` +
	`)`

// slos are the objectives.
var slos = []objective{
	{
		name: "GatewayAvailabilityBurn", recorded: "webhooks_failed", budget: .001,
		missed: `clamp_min(` + failed + `, 0)`,
		all:    `clamp_min(` + failed + `, 0) + sum ` + by + ` (rate(gateway_webhooks_total{status="success"}[%[1]s]))`,
		what:   "99.9 % of webhooks that are in order are accepted", cause: "are refused by 5xx, or for want of room",
	},
	{
		name: "GatewayLatencyBurn", recorded: "webhooks_slow", budget: .01,
		missed: `clamp_min(` +
			`sum ` + by + ` (rate(gateway_webhook_duration_seconds_count{status="success"}[%[1]s]))` +
			` - sum ` + by + ` (rate(gateway_webhook_duration_seconds_bucket{status="success", ` + slowAfter + `}[%[1]s]))` +
			`, 0)`,
		all:  `sum ` + by + ` (rate(gateway_webhook_duration_seconds_count{status="success"}[%[1]s]))`,
		what: "99 % of accepted webhooks are answered within 1 s", cause: "take more than 1 s",
	},
}

// burn is how fast the budget may be used up over a long window; the short one has it
// end soon after the trouble does.
type burn struct {
	severity    severity
	rate        float64
	long, short time.Duration
	pending     time.Duration
}

// burns are those of Google's SRE workbook: 2 % of the budget of 30 days in an hour, 5 %
// in 6 hours, 10 % in a day and in 3 days.
var burns = []burn{
	{critical, 14.4, time.Hour, 5 * time.Minute, 2 * time.Minute},
	{critical, 6, 6 * time.Hour, 30 * time.Minute, 15 * time.Minute},
	{warning, 3, day, 2 * time.Hour, time.Hour},
	{warning, 1, 3 * day, 6 * time.Hour, 3 * time.Hour},
}

// leastMissed is how many webhooks have to miss an objective in the long window: of ten
// in an hour one alone would be a tenth.
const leastMissed = 10

// windows are all that burns look at.
var windows = []time.Duration{5 * time.Minute, 30 * time.Minute, time.Hour, 2 * time.Hour, 6 * time.Hour, day, 3 * day}

// window writes a duration as Prometheus does.
func window(d time.Duration) string {
	for _, unit := range []struct {
		length time.Duration
		name   string
	}{{day, "d"}, {time.Hour, "h"}, {time.Minute, "m"}} {
		if d%unit.length == 0 {
			return strconv.Itoa(int(d/unit.length)) + unit.name
		}
	}
	return strconv.Itoa(int(d/time.Second)) + "s"
}

// missedIn names what is recorded of a window: the rate a second that misses the objective.
func (o objective) missedIn(d time.Duration) string {
	return "gateway:" + o.recorded + ":rate" + window(d)
}

// ratioIn names its share.
func (o objective) ratioIn(d time.Duration) string {
	return "gateway:" + o.recorded + ":ratio_rate" + window(d)
}

// alert returns the alert of one rate of burning.
func (o objective) alert(b burn) alert {
	limit := strconv.FormatFloat(b.rate*o.budget, 'g', -1, 64)
	return alert{
		name: o.name, severity: b.severity, pending: b.pending,
		labels: map[string]string{"window": window(b.long)},
		expr: fmt.Sprintf("%s > %s\nand %s > %s\nand %s * %d >= %d",
			o.ratioIn(b.long), limit, o.ratioIn(b.short), limit, o.missedIn(b.long), int(b.long.Seconds()), leastMissed),
		summary: "{{ $value | humanizePercentage }} of webhooks " + o.cause,
		description: fmt.Sprintf("The objective is that %s. Over %s and %s the share that misses it is more than %g times the one that lasts for 30 days.",
			o.what, window(b.long), window(b.short), b.rate),
	}
}

// objectives returns a group for each objective: what is recorded, and then its alerts, since
// the rules of a group see what those before them have recorded.
func objectives() []monitoringv1.RuleGroup {
	var groups []monitoringv1.RuleGroup
	for _, o := range slos {
		g := monitoringv1.RuleGroup{Name: "signal-gateway." + o.recorded}
		for _, d := range windows {
			all := fmt.Sprintf(o.all, window(d))
			g.Rules = append(g.Rules,
				recording(o.missedIn(d), fmt.Sprintf(o.missed, window(d))),
				recording(o.ratioIn(d), fmt.Sprintf("%s / (%s > 0)", o.missedIn(d), all)))
		}
		for _, b := range burns {
			g.Rules = append(g.Rules, o.alert(b).rule())
		}
		groups = append(groups, g)
	}
	return groups
}
