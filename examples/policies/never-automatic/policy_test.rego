package gateway_test

import data.gateway

signal(namespace, kind, owner, labels) := {"signal": {
	"namespace": namespace,
	"resource": {"kind": kind},
	"owner": {"kind": owner},
	"labels": labels,
}}

test_namespaces if {
	every namespace in ["vault", "orders-db"] {
		gateway.path == "manual" with input as signal(namespace, "Pod", "Deployment", {})
	}
}

test_kinds if {
	gateway.path == "manual" with input as signal("shop", "PersistentVolumeClaim", "", {})
	gateway.path == "manual" with input as signal("shop", "Pod", "StatefulSet", {})
}

test_labels_take_automation_away if {
	gateway.path == "manual" with input as signal("shop", "Pod", "Deployment", {"remediation": "never"})
}

test_labels_grant_nothing if {
	not gateway.path with input as signal("shop", "Pod", "Deployment", {"remediation": "aggressive"})
	gateway.path == "manual" with input as signal("vault", "Pod", "Deployment", {"remediation": "aggressive"})
}

test_others_are_left_to_the_tables if {
	not gateway.path with input as signal("shop", "Pod", "Deployment", {})
	not gateway.reason with input as signal("shop", "Pod", "Deployment", {})
	not gateway.path with input as signal("vaults", "Pod", "", {})
}

test_every_reason_is_named if {
	gateway.reason == "never automatic: its kind, its namespace" with input as signal("vault", "StatefulSet", "", {})
}
