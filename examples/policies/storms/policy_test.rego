package gateway_test

import data.gateway

stormy(kind, members, severity, environment) := {
	"storm": {"kind": kind, "group": "shop", "members": members},
	"signal": {"severity": severity},
	"environment": environment,
}

calm := {"storm": null, "signal": {"severity": "info"}, "environment": "production"}

test_a_small_storm_is_left_to_the_tables if {
	not gateway.path with input as stormy("rate", 49, "critical", "production")
	not gateway.priority with input as stormy("rate", 49, "critical", "production")
}

test_a_large_storm_is_for_a_person if {
	gateway.path == "manual" with input as stormy("rate", 50, "warning", "production")
	gateway.priority == "P0" with input as stormy("rate", 50, "warning", "production")
}

test_a_large_storm_in_staging_is_not_urgent if {
	gateway.path == "manual" with input as stormy("rate", 50, "warning", "staging")
	not gateway.priority with input as stormy("rate", 50, "warning", "staging")
}

test_a_fault_on_many_resources_is_for_a_person if {
	gateway.path == "manual" with input as stormy("pattern", 0, "warning", "staging")
}

test_a_large_one_on_many_resources_is_no_conflict if {
	gateway.path == "manual" with input as stormy("pattern", 100, "warning", "staging")
}

test_what_only_informs_stays_quiet if {
	gateway.suppress with input as stormy("rate", 1, "info", "staging")
	not gateway.suppress with input as stormy("rate", 1, "warning", "staging")
}

test_without_a_storm_nothing_is_said if {
	not gateway.path with input as calm
	not gateway.suppress with input as calm
	not gateway.reason with input as calm
}

test_it_says_why if {
	gateway.reason == "rate storm in shop, 7 episodes so far" with input as stormy("rate", 7, "warning", "staging")
}
