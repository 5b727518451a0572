package gateway_test

import data.gateway

signal(namespace, name, path) := {
	"matrix": {"path": path},
	"signal": {
		"namespace": namespace,
		"resource": {"kind": "Pod", "namespace": namespace, "name": concat("-", [name, "7d9c5b8f6d"])},
		"owner": {"kind": "Deployment", "namespace": namespace, "name": name},
	},
}

# Of 200 workloads those that are in the canary.
inside(percent) := {n |
	some n in numbers.range(1, 200)
	gateway.canary with input as signal("shop", sprintf("app-%d", [n]), "moderate")
		with data.canary as {"percent": percent, "namespaces": []}
}

test_the_share_is_about_what_was_asked_for if {
	share := count(inside(25))
	share > 35
	share < 65
}

test_none_and_all if {
	count(inside(0)) == 0
	count(inside(100)) == 200
}

test_a_larger_share_holds_the_smaller if {
	count(inside(10) - inside(20)) == 0
}

test_outside_an_approval_is_needed if {
	gateway.path == "conservative" with input as signal("shop", "a", "aggressive")
		with data.canary as {"percent": 0, "namespaces": []}
	gateway.reason == "not in the canary" with input as signal("shop", "a", "aggressive")
		with data.canary as {"percent": 0, "namespaces": []}
}

test_inside_the_tables_hold if {
	not gateway.path with input as signal("playground", "a", "aggressive")
	gateway.labels == {"example.com/canary": "true"} with input as signal("playground", "a", "aggressive")
}

test_what_is_careful_already_stays if {
	not gateway.path with input as signal("shop", "a", "manual") with data.canary.percent as 0
}

test_pods_of_one_owner_are_alike if {
	one := signal("shop", "a", "moderate")
	two := object.union(one, {"signal": {"resource": {"name": "a-other"}}})
	bucket := gateway.bucket with input as one
	bucket == gateway.bucket with input as two
}

test_without_an_owner_the_resource_counts if {
	nobody := object.union(signal("shop", "a", "moderate"), {"signal": {"owner": {"kind": "", "namespace": "", "name": ""}}})
	gateway.bucket >= 0 with input as nobody
}
