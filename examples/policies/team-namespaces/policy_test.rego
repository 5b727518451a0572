package gateway_test

import data.gateway

signal(namespace, name, path) := {
	"signal": {"name": name, "namespace": namespace},
	"environment": "production",
	"matrix": {"priority": "P1", "path": path},
}

test_the_owner_is_named if {
	every namespace in ["payments", "payments-eu"] {
		gateway.labels == {"team": "payments"} with input as signal(namespace, "A", "moderate")
		contains(gateway.reason, "#payments-oncall") with input as signal(namespace, "A", "moderate")
	}
}

test_a_limit_makes_more_careful if {
	gateway.path == "conservative" with input as signal("payments", "A", "moderate")
	gateway.path == "conservative" with input as signal("payments", "A", "aggressive")
}

test_a_limit_makes_nothing_bolder if {
	not gateway.path with input as signal("payments", "A", "manual")
	not gateway.path with input as signal("search-1", "A", "conservative")
}

test_urgent_signals if {
	gateway.priority == "P0" with input as signal("payments", "PaymentQueueStuck", "conservative")
	not gateway.priority with input as signal("payments", "A", "conservative")
	not gateway.priority with input as signal("search-1", "PaymentQueueStuck", "conservative")
}

test_urgent_in_production_only if {
	not gateway.priority with input as object.union(
		signal("payments", "PaymentQueueStuck", "moderate"),
		{"environment": "staging"},
	)
}

test_others_are_left_to_the_tables if {
	not gateway.path with input as signal("shop", "A", "aggressive")
	not gateway.reason with input as signal("shop", "A", "aggressive")
	gateway.labels == {} with input as signal("shop", "A", "aggressive")
}

test_the_first_team_is_it if {
	gateway.labels.team == "first" with input as signal("both-1", "A", "manual")
		with data.teams as [
			{"name": "first", "namespaces": ["both-*"], "path": "manual", "urgent": [], "contact": ""},
			{"name": "second", "namespaces": ["both-1"], "path": "manual", "urgent": [], "contact": ""},
		]
}
