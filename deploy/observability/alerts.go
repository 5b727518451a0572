package main

import "time"

// alerts are all but those of objectives, in the order of what they are about: whether
// it runs, what comes in, what is kept, what decides, what is watched.
func alerts() []alert {
	return concat(running(), senders(), kept(), deciding(), watching())
}

func concat(all ...[]alert) []alert {
	var one []alert
	for _, some := range all {
		one = append(one, some...)
	}
	return one
}

func running() []alert {
	return []alert{
		{
			name: "GatewayDown", severity: critical, pending: 5 * time.Minute,
			expr:        `absent(gateway_build_info)`,
			summary:     "No gateway can be scraped",
			description: "For 5 minutes no replica has answered Prometheus. Senders may be told nothing: Alertmanager tries again until its group's next turn, and what fires and ends meanwhile is lost.",
		},
		{
			name: "GatewayCertificateExpires", severity: warning, pending: time.Hour,
			expr:        `min by (namespace, job, listener) (gateway_certificate_expiry_timestamp_seconds > 0) - time() < 7 * 86400`,
			summary:     "The certificate of {{ $labels.listener }} expires in {{ $value | humanizeDuration }}",
			description: "A certificate should have been renewed by now. When it expires senders that verify it deliver nothing.",
		},
		{
			name: "GatewayCertificateExpires", severity: critical,
			expr:        `min by (namespace, job, listener) (gateway_certificate_expiry_timestamp_seconds > 0) - time() < 86400`,
			summary:     "The certificate of {{ $labels.listener }} expires in {{ $value | humanizeDuration }}",
			description: "A certificate expires within a day, or has expired. Then senders that verify it deliver nothing.",
		},
	}
}

func senders() []alert {
	return []alert{
		{
			name: "GatewaySourceSilent", severity: critical,
			expr:        `max by (namespace, job, source) (gateway_source_silent) == 1`,
			summary:     "Nothing shows that alerts of {{ $labels.source }} come through",
			description: "The sender's Watchdog has stayed away for longer than its interval and grace, or the sender told of its end. Its alerts may be getting lost.",
		},
		{
			name: "GatewaySignalsUnaccounted", severity: critical, pending: 10 * time.Minute,
			expr:        `max by (namespace, job, source) (gateway_signals_unaccounted) > 0`,
			summary:     "{{ $value }} signals fire at {{ $labels.source }} and never came",
			description: "What fires at the sender for longer than it takes to come is not known to the gateway. Nobody remediates it.",
		},
		{
			name: "GatewayAlertsTruncated", severity: warning,
			expr:        `sum by (namespace, job, source) (increase(gateway_truncated_alerts_total[15m])) > 0`,
			summary:     "{{ $labels.source }} left out {{ $value | humanize }} alerts",
			description: "The sender says that its webhooks had not all alerts of their groups (max_alerts). Those that it left out are lost upstream.",
		},
		{
			name: "GatewayRateLimited", severity: warning, pending: 5 * time.Minute,
			expr:        `sum by (namespace, job, source, limit) (increase(gateway_webhooks_limited_total[10m])) > 10`,
			summary:     "Webhooks of {{ $labels.source }} are refused for the limit {{ $labels.limit }}",
			description: "{{ $value | humanize }} webhooks in 10 minutes met a limit: of the source's rate, of one client's, or of what may be in flight. Senders that try again come late, others lose what they sent.",
		},
		{
			name: "GatewayWebhooksRefused", severity: warning, pending: 5 * time.Minute,
			expr:        `sum by (namespace, job, source, code) (increase(gateway_webhooks_refused_total{code=~"4..", code!="429"}[15m])) > 5`,
			summary:     "Webhooks of {{ $labels.source }} are refused with {{ $labels.code }}",
			description: "{{ $value | humanize }} webhooks in 15 minutes were refused for what they are: credentials (401, 403), their form (400, 415), their size (413) or their path (404, 405). No sender mends that by trying again.",
		},
		{
			name: "GatewayStorm", severity: info,
			expr:        `sum by (namespace, job) (increase(gateway_storm_detected_total[10m])) > 0`,
			summary:     "Many new troubles at once are gathered into a storm",
			description: "Storms that were opened in 10 minutes: {{ $value | humanize }}. Their members share one request, on a path that is one step more careful.",
		},
	}
}

func kept() []alert {
	return []alert{
		{
			name: "GatewaySpoolOld", severity: critical,
			expr:        `time() - max by (namespace, job, instance) (gateway_spool_oldest_timestamp_seconds > 0) > 600`,
			summary:     "The spool of {{ $labels.instance }} holds signals since {{ $value | humanizeDuration }}",
			description: "Signals were accepted that are not in the Kubernetes API after 10 minutes: it takes no writes, or too few. Nothing is lost as long as the disk is there, and nothing is remediated.",
		},
		{
			name: "GatewaySpoolSetAside", severity: warning,
			expr:        `max by (namespace, job, instance) (gateway_spool_set_aside_signals) > 0`,
			summary:     "{{ $value }} signals are set aside in the spool of {{ $labels.instance }}",
			description: "The Kubernetes API refused to take signals for good. They stay in the spool until a person decides.",
		},
		{
			name: "GatewayLedgerDegraded", severity: warning, pending: 5 * time.Minute,
			expr:        `max by (namespace, job, instance) (gateway_ledger_degraded) == 1`,
			summary:     "{{ $labels.instance }} goes on without Redis",
			description: "Redis has been away for 5 minutes. No signal is lost or doubled by that; storms are counted by each replica for itself, and nothing is automated that takes a place in the budget.",
		},
		{
			name: "GatewayAuditIncomplete", severity: critical,
			expr:        `sum by (namespace, job, instance) (increase(gateway_audit_dropped_total[15m]) + increase(gateway_audit_failures_total[15m])) > 0`,
			summary:     "The audit log of {{ $labels.instance }} lacks lines",
			description: "Lines of the audit log could not be written, by a full disk or one that is too slow.",
		},
	}
}

func deciding() []alert {
	return []alert{
		{
			name: "GatewayPolicyFallback", severity: warning,
			expr:        `sum by (namespace, job, rule, cause) (increase(gateway_policy_fallbacks_total[15m])) > 0`,
			summary:     "The policy is not heard about {{ $labels.rule }}: {{ $labels.cause }}",
			description: "In 15 minutes the policy failed, took too long or gave what is no value {{ $value | humanize }} times. The tables decided instead, and the requests say so.",
		},
		{
			name: "GatewayReloadRefused", severity: warning, pending: 10 * time.Minute,
			expr:        `max by (namespace, job, what) (gateway_reload_failing) == 1`,
			summary:     "The newest version of {{ $labels.what }} is refused",
			description: "Something that may change while the gateway runs has a mistake. An older version stays in force, which a restart does not bring back.",
		},
	}
}

func watching() []alert {
	return []alert{
		{
			name: "GatewayWatchStalled", severity: critical, pending: 2 * time.Minute,
			expr:        `time() - max by (namespace, job, source) (gateway_events_observed_timestamp_seconds) > 180`,
			summary:     "Events of {{ $labels.source }} have not been seen since {{ $value | humanizeDuration }}",
			description: "The watch of Kubernetes Events does not move on any replica. What comes meanwhile is taken in later, unless it expires before (events.ttl).",
		},
		{
			name: "GatewayRequestsUnseen", severity: critical, pending: time.Minute,
			expr:        `max by (namespace, job, instance) (gateway_watch_silence_seconds) > 120`,
			summary:     "{{ $labels.instance }} has not seen the requests in the cluster for {{ $value | humanizeDuration }}",
			description: "The watch of RemediationRequests is silent. What is known of them proves nothing any more, so each decision reads live, and nothing is deleted; with the API away signals are spooled or refused.",
		},
		{
			name: "GatewayEventsMissed", severity: warning,
			expr:        `sum by (namespace, job, source) (increase(gateway_events_gaps_total[1h])) > 0`,
			summary:     "Events of {{ $labels.source }} may have expired unseen",
			description: "Nobody watched for longer than the API server keeps Events. Troubles that were told only then are not known.",
		},
	}
}
