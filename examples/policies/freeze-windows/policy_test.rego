package gateway_test

import data.gateway

at(time, environment, namespace) := {
	"time": time, "environment": environment, "signal": {"namespace": namespace},
}

test_inside_a_window if {
	gateway.path == "manual" with input as at("2026-11-26T00:00:00Z", "production", "cart")
	gateway.path == "manual" with input as at("2026-11-30T23:59:59Z", "production", "cart")
}

test_outside_of_all if {
	not gateway.path with input as at("2026-11-25T23:59:59Z", "production", "cart")
	not gateway.path with input as at("2026-12-01T00:00:00Z", "production", "cart")
}

test_other_environments_are_not_frozen if {
	not gateway.path with input as at("2026-11-27T12:00:00Z", "staging", "cart")
}

test_windows_of_namespaces if {
	gateway.path == "manual" with input as at("2026-11-27T19:00:00Z", "staging", "shop-eu")
	not gateway.path with input as at("2026-11-27T19:00:00Z", "staging", "workshop")
	not gateway.path with input as at("2026-11-27T18:59:59Z", "staging", "shop-eu")
}

test_what_has_no_namespace_is_frozen_by_a_star if {
	gateway.path == "manual" with input as at("2026-11-27T12:00:00Z", "production", "")
}

test_all_windows_are_named if {
	gateway.reason == "frozen: black-friday, shop-migration" with input as at("2026-11-27T20:00:00Z", "production", "shop")
	not gateway.reason with input as at("2026-11-27T20:00:00Z", "staging", "cart")
}
