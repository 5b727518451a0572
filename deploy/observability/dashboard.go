package main

import (
	"fmt"
	"strings"

	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/units"
)

// row is a part of the dashboard.
type row struct {
	title   string
	numbers []figure
	charts  []figure
}

// newDashboard returns the dashboard.
func newDashboard() (dashboard.Dashboard, error) {
	b := dashboard.NewDashboardBuilder("Signal gateway").
		Uid("signal-gateway").
		Description("What the signal gateway takes in, what becomes of it, and how it is.").
		Tags([]string{"signal-gateway", "remediation"}).
		Readonly().
		Tooltip(dashboard.DashboardCursorSyncCrosshair).
		Refresh("30s").Time("now-6h", "now").Timezone(common.TimeZoneBrowser).
		WithVariable(dashboard.NewDatasourceVariableBuilder("datasource").Label("Data source").Type("prometheus")).
		WithVariable(label("job", "Job", `label_values(gateway_build_info, job)`)).
		WithVariable(label("instance", "Replica", `label_values(gateway_build_info{job=~"$job"}, instance)`))
	for _, r := range rows() {
		b = b.WithRow(dashboard.NewRowBuilder(r.title))
		for _, f := range r.numbers {
			b = b.WithPanel(f.number())
		}
		for _, f := range r.charts {
			b = b.WithPanel(f.chart())
		}
	}
	board, err := b.Build()
	for i := range board.Panels {
		id := uint32(i + 1)
		if p := board.Panels[i]; p.Panel != nil {
			p.Panel.Id = &id
		} else {
			p.RowPanel.Id = id
		}
	}
	return board, err
}

// label returns a variable with the values of a label, of which any number may be chosen.
func label(name, title, query string) *dashboard.QueryVariableBuilder {
	all := dashboard.StringOrArrayOfString{ArrayOfString: []string{"$__all"}}
	return dashboard.NewQueryVariableBuilder(name).Label(title).Datasource(source).
		Query(dashboard.StringOrMap{String: &query}).Refresh(dashboard.VariableRefreshOnTimeRangeChanged).
		Sort(dashboard.VariableSortAlphabeticalAsc).Multi(true).IncludeAll(true).AllValue(".*").
		Current(dashboard.VariableOption{Selected: new(true), Text: dashboard.StringOrArrayOfString{ArrayOfString: []string{"All"}}, Value: all})
}

// of returns a series of the replicas that are chosen, with further matchers.
func of(metric string, matchers ...string) string {
	return metric + "{" + strings.Join(append([]string{`job=~"$job"`, `instance=~"$instance"`}, matchers...), ", ") + "}"
}

// rate returns the rate a second of a counter, summed but for labels.
func rate(by, metric string, matchers ...string) string {
	return fmt.Sprintf("sum by (%s) (rate(%s[$__rate_interval]))", by, of(metric, matchers...))
}

// total is rate without labels.
func total(metric string, matchers ...string) string {
	return fmt.Sprintf("sum(rate(%s[$__rate_interval]))", of(metric, matchers...))
}

// most returns the highest value of a gauge, for each value of labels.
func most(by, metric string) string {
	return fmt.Sprintf("max by (%s) (%s)", by, of(metric))
}

// quantiles returns three of a histogram.
func quantiles(metric string, matchers ...string) []query {
	var all []query
	for _, q := range []string{"0.5", "0.9", "0.99"} {
		expr := fmt.Sprintf("histogram_quantile(%s, sum by (le) (rate(%s[$__rate_interval])))", q, of(metric+"_bucket", matchers...))
		all = append(all, query{expr, "p" + strings.TrimPrefix(q, "0.")})
	}
	all[0].legend, all[1].legend = "p50", "p90"
	return all
}

// one is a single query.
func one(expr, legend string) []query { return []query{{expr, legend}} }

// rows are in the order in which one looks: is all well, what comes in, what it rests on.
func rows() []row {
	return []row{
		overview(), signals(), webhooks(), promises(), sources(), events(), cluster(), stores(), rules(), process(),
	}
}

func overview() row {
	return row{title: "Overview", numbers: []figure{
		{title: "Replicas", unit: units.Short, description: "Gateways that answer Prometheus.", queries: one("count("+of("gateway_build_info")+")", ""), bad: 1, low: true},
		{title: "Signals", unit: units.CountsPerSecond, description: "Signals a second, whatever becomes of them.", queries: one(total("gateway_signals_total"), "")},
		{title: "Answer, p99", unit: units.Seconds, description: "Within what time 99 of 100 accepted webhooks are answered.", queries: quantiles("gateway_webhook_duration_seconds", `status="success"`)[2:], bad: 1},
		{title: "Refused", unit: units.PercentUnit, description: "Share of webhooks in the last hour that were in order and not accepted. 0.1 % is what the objective allows.", queries: one(`max(gateway:webhooks_failed:ratio_rate1h{job=~"$job"})`, ""), bad: .001},
		{title: "Spool", unit: units.Short, description: "Signals that were accepted and wait for the Kubernetes API.", queries: one("sum("+of("gateway_spool_signals")+")", ""), bad: 1},
		{title: "Silent sources", unit: units.Short, description: "Sources whose sender gives no sign of life.", queries: one("sum("+most("source", "gateway_source_silent")+")", ""), bad: 1},
		{title: "Unaccounted", unit: units.Short, description: "Signals that fire at their sender and never came, where senders are asked.", queries: one("sum("+most("source", "gateway_signals_unaccounted")+")", ""), bad: 1},
		{title: "Requests", unit: units.Short, description: "RemediationRequests in the cluster, finished ones that are kept among them.", queries: one("max("+of("gateway_requests")+")", "")},
	}}
}

func signals() row {
	return row{title: "Signals", charts: []figure{
		{title: "Signals by outcome", unit: units.CountsPerSecond, description: "What becomes of signals. Most of a busy hour are duplicates; failed ones are told to the sender, who tries again.", queries: one(rate("outcome", "gateway_signals_total"), "{{outcome}}"), stacked: true},
		{title: "Signals by source", unit: units.CountsPerSecond, description: "Who sends how much.", queries: one(rate("source", "gateway_signals_total"), "{{source}}"), stacked: true},
		{title: "Reasons", unit: units.CountsPerSecond, description: "The ten most frequent reasons of decisions.", queries: one("topk(10, "+rate("outcome, reason", "gateway_decisions_total")+")", "{{outcome}}: {{reason}}")},
		{title: "Share of duplicates", unit: units.PercentUnit, description: "How many of the signals that are decided repeat what a request stands for already.", queries: one(total("gateway_signals_total", `outcome="duplicate"`)+" / ("+total("gateway_signals_total")+" > 0)", "duplicates"), most: 1},
		{title: "Storms", unit: units.Short, description: "Storms that were opened in 10 minutes: many new troubles at once in one namespace, or one fault on many objects.", queries: one("sum(increase("+of("gateway_storm_detected_total")+"[10m]))", "opened")},
		{title: "Decided later", unit: units.CountsPerSecond, description: "Signals of the spool by what became of them, and those that were suppressed for a while and are decided again.", queries: []query{{rate("outcome", "gateway_spool_drained_total"), "spool: {{outcome}}"}, {total("gateway_parked_reviewed_total"), "parked"}}},
	}}
}

func webhooks() row {
	return row{title: "Webhooks", charts: []figure{
		{title: "Webhooks", unit: units.RequestsPerSecond, description: "Webhooks a second, accepted or refused.", queries: one(rate("status", "gateway_webhooks_total"), "{{status}}"), stacked: true},
		{title: "Time to answer", unit: units.Seconds, description: "How long accepted webhooks take from their header to the answer. The objective is that 99 % take less than the dashed line.", queries: quantiles("gateway_webhook_duration_seconds", `status="success"`), bad: 1},
		{title: "Time to answer, p99 by source", unit: units.Seconds, description: "Within what time 99 of 100 accepted webhooks of each source are answered.", queries: one("histogram_quantile(0.99, "+rate("le, source", "gateway_webhook_duration_seconds_bucket", `status="success"`)+")", "{{source}}")},
		{title: "Refused", unit: units.RequestsPerSecond, description: "Webhooks that were refused, by HTTP status: 4xx for what no retry mends, 429 and 503 for what comes again.", queries: one(rate("source, code", "gateway_webhooks_refused_total")+" > 0", "{{source}} {{code}}"), stacked: true},
		{title: "Limits", unit: units.RequestsPerSecond, description: "Webhooks that met a limit: the source's rate, one client's, or what may be in flight.", queries: one(rate("source, limit", "gateway_webhooks_limited_total"), "{{source}}: {{limit}}"), stacked: true},
		{title: "Credentials", unit: units.RequestsPerSecond, description: "Requests that were refused for their credentials, by source, kind and reason.", queries: one(rate("source, kind, reason", "gateway_auth_failures_total")+" > 0", "{{source}}: {{kind}}, {{reason}}"), stacked: true},
		{title: "In flight", unit: units.Short, description: "Webhooks that are being worked on, by replica.", queries: one(of("gateway_webhooks_in_flight"), "{{instance}}")},
	}}
}

func promises() row {
	var all []figure
	for _, o := range slos {
		var burning []query
		for _, d := range windows {
			expr := fmt.Sprintf(`max(%s{job=~"$job"}) / %g`, o.ratioIn(d), o.budget)
			burning = append(burning, query{expr, window(d)})
		}
		all = append(all, figure{
			title: strings.TrimPrefix(o.name, "Gateway"), unit: "suffix:×", bad: burns[0].rate,
			description: fmt.Sprintf("How many times as fast as it lasts for 30 days the budget of an objective burns, by window. The objective: %s. Above the dashed line in 1h and 5m somebody is called.", o.what),
			queries:     burning,
		})
	}
	return row{title: "Objectives", charts: all}
}

func sources() row {
	return row{title: "Senders", charts: []figure{
		{title: "Since the last sign of life", unit: units.Seconds, description: "How long ago each sender's Watchdog came, to any replica.", queries: one("time() - "+most("source", "gateway_source_heartbeat_timestamp_seconds")+" < 1e9", "{{source}}")},
		{title: "Silent", unit: units.Short, description: "1 while a sender's sign of life stays away: its alerts may be getting lost.", queries: one(most("source", "gateway_source_silent"), "{{source}}"), most: 1},
		{title: "Unaccounted", unit: units.Short, description: "Signals that fire at their sender and never came, and how many fire there.", queries: []query{{most("source", "gateway_signals_unaccounted"), "{{source}}: unaccounted"}, {most("source", "gateway_reconcile_firing"), "{{source}}: firing"}}},
		{title: "Taken in", unit: units.Short, description: "Signals that had not come and were taken in, and looks at senders that failed, in an hour.", queries: []query{{"sum by (source) (increase(" + of("gateway_reconcile_taken_in_total") + "[1h]))", "{{source}}: taken in"}, {"sum by (source) (increase(" + of("gateway_reconcile_errors_total") + "[1h]))", "{{source}}: failed looks"}}},
		{title: "Left out", unit: units.Short, description: "Alerts that senders say they left out of their webhooks, in an hour.", queries: one("sum by (source) (increase("+of("gateway_truncated_alerts_total")+"[1h]))", "{{source}}")},
	}}
}

func events() row {
	return row{title: "Events of the cluster", charts: []figure{
		{title: "Events by fate", unit: units.CountsPerSecond, description: "What becomes of the Events that the watch shows.", queries: one(rate("fate", "gateway_events_seen_total"), "{{fate}}"), stacked: true},
		{title: "Lag", unit: units.Seconds, description: "From an Event's last occurrence until it was handed in, waits for a drain or rollout among it.", queries: quantiles("gateway_events_lag_seconds")},
		{title: "Since all had been seen", unit: units.Seconds, description: "How long ago the watch had seen all Events. It rises when the watch stands still.", queries: one("time() - "+most("source", "gateway_events_observed_timestamp_seconds")+" < 1e9", "{{source}}"), bad: 180},
		{title: "Watching", unit: units.Short, description: "1 on the replica that watches.", queries: one(of("gateway_events_leader"), "{{instance}} {{source}}"), most: 1},
		{title: "Pending", unit: units.Short, description: "Events that are still to be handed in.", queries: one(rateless("source", "gateway_events_pending"), "{{source}}")},
		{title: "Unobserved", unit: units.Seconds, description: "How long, in a day, Events may have come and expired unseen.", queries: one("sum by (source) (increase("+of("gateway_events_unobserved_seconds_total")+"[1d]))", "{{source}}")},
	}}
}

// rateless returns the sum of a gauge over replicas.
func rateless(by, metric string) string { return fmt.Sprintf("sum by (%s) (%s)", by, of(metric)) }

func cluster() row {
	return row{title: "Kubernetes API", charts: []figure{
		{title: "Time to create a request", unit: units.Seconds, description: "How long the Kubernetes API takes to create a RemediationRequest.", queries: quantiles("gateway_crd_creation_duration_seconds")},
		{title: "Writes", unit: units.RequestsPerSecond, description: "Writes to the Kubernetes API by verb and HTTP code; none is for no answer.", queries: one(rate("verb, code", "gateway_kubernetes_writes_total")+" > 0", "{{verb}} {{code}}"), stacked: true},
		{title: "Requests", unit: units.Short, description: "RemediationRequests in the cluster, as each replica knows them. Replicas that differ for long do not hear the same watch.", queries: one(of("gateway_requests"), "{{instance}}")},
		{title: "Silence of the watch", unit: units.Seconds, description: "For how long the watch of RemediationRequests has told nothing. An API server that is well tells something each minute.", queries: one(of("gateway_watch_silence_seconds"), "{{instance}}"), bad: 120},
		{title: "Disputes", unit: units.CountsPerSecond, description: "Where two views of one episode disagreed, by how that was settled.", queries: one(rate("ruling", "gateway_disputes_total"), "{{ruling}}")},
		{title: "Deleted", unit: units.Short, description: "Requests that retention deleted in an hour, by why.", queries: one("sum by (why) (increase("+of("gateway_retention_deleted_total")+"[1h]))", "{{why}}")},
	}}
}

func stores() row {
	return row{title: "Ledger, spool, audit log", charts: []figure{
		{title: "Without Redis", unit: units.Short, description: "1 while Redis is configured and away, by replica.", queries: one(of("gateway_ledger_degraded"), "{{instance}}"), most: 1},
		{title: "Calls to Redis", unit: units.OpsPerSecond, description: "Calls that read (check) and write (record) the ledger, by how they ended.", queries: one(rate("operation, status", "gateway_redis_operations_total"), "{{operation}} {{status}}")},
		{title: "Connections to Redis", unit: units.Short, description: "Open connections to Redis, by replica.", queries: one(of("gateway_redis_connections"), "{{instance}}")},
		{title: "Spool", unit: units.Short, description: "Signals in the spool, and those that were set aside for a person, by replica.", queries: []query{{of("gateway_spool_signals"), "{{instance}}"}, {of("gateway_spool_set_aside_signals"), "{{instance}}: set aside"}}},
		{title: "Age of the spool", unit: units.Seconds, description: "For how long the oldest signal has been in the spool. Above the dashed line somebody is called.", queries: one("time() - ("+of("gateway_spool_oldest_timestamp_seconds")+" > 0)", "{{instance}}"), bad: 600},
		{title: "Size of the spool", unit: units.BytesIEC, description: "What the spool holds. At spool.maxBytes senders are refused.", queries: one(of("gateway_spool_bytes"), "{{instance}}")},
		{title: "Audit log", unit: units.CountsPerSecond, description: "Lines of the audit log, and those that could not be written.", queries: []query{{total("gateway_audit_lines_total"), "lines"}, {total("gateway_audit_dropped_total"), "dropped"}, {total("gateway_audit_failures_total"), "failures"}}},
		{title: "Recordings", unit: units.CountsPerSecond, description: "Entries of recordings, and those that were dropped for want of time or room.", queries: []query{{total("gateway_recording_entries_total"), "entries"}, {total("gateway_recording_dropped_total"), "dropped"}}},
	}}
}

func rules() row {
	return row{title: "Policy and orders", charts: []figure{
		{title: "Fallbacks", unit: units.CountsPerSecond, description: "What the policy was not heard about, by what it was and why. The tables decided instead.", queries: one(rate("rule, cause", "gateway_policy_fallbacks_total"), "{{rule}}: {{cause}}"), stacked: true},
		{title: "Time to evaluate", unit: units.Seconds, description: "How long evaluations of the policy take. Beyond policy.timeout the tables decide.", queries: quantiles("gateway_policy_evaluation_duration_seconds")},
		{title: "Refused versions", unit: units.Short, description: "1 while the newest version of something has a mistake and an older one is in force.", queries: one(most("what", "gateway_reload_failing"), "{{what}}"), most: 1},
		{title: "Mode", unit: units.Short, description: "The mode that people have ordered for the cluster.", queries: one(most("mode", "gateway_guard_mode"), "{{mode}}"), most: 1},
		{title: "Namespaces with an order", unit: units.Short, description: "Namespaces for which people have ordered a mode.", queries: one(most("mode", "gateway_guard_namespaces"), "{{mode}}")},
		{title: "Silences", unit: units.Short, description: "Silences in force by where they come from, and suppressed signals that wait for their end.", queries: []query{{most("from", "gateway_silences"), "{{from}}"}, {"sum(" + of("gateway_parked_signals") + ")", "parked signals"}}},
	}}
}

func process() row {
	return row{title: "Process", charts: []figure{
		{title: "CPU", unit: units.Short, description: "Cores in use, by replica.", queries: one("rate("+of("process_cpu_seconds_total")+"[$__rate_interval])", "{{instance}}")},
		{title: "Memory", unit: units.BytesIEC, description: "Resident memory, by replica.", queries: one(of("process_resident_memory_bytes"), "{{instance}}")},
		{title: "Goroutines", unit: units.Short, description: "Goroutines, by replica. What only rises leaks.", queries: one(of("go_goroutines"), "{{instance}}")},
		{title: "Until certificates expire", unit: units.Seconds, description: "For how long the certificates that are served with are still valid. Below the dashed line somebody is called.", queries: one("min by (listener) ("+of("gateway_certificate_expiry_timestamp_seconds")+" > 0) - time()", "{{listener}}"), bad: 86400, low: true},
		{title: "Builds", unit: units.Short, description: "Replicas of each version.", queries: one("count by (version, goversion) ("+of("gateway_build_info")+")", "{{version}}, {{goversion}}"), stacked: true},
	}}
}
