# What no automation may touch: namespaces, kinds, and workloads that say so
# themselves by a label of their alerts. A label can take automation away. That
# it could grant any is nowhere written, since senders choose it.
package gateway

never contains "its namespace" if {
	some pattern in data.never.namespaces
	glob.match(pattern, null, input.signal.namespace)
}

never contains "its kind" if {
	some object in [input.signal.resource, input.signal.owner]
	object.kind in data.never.kinds
}

never contains "its label remediation" if {
	input.signal.labels.remediation in {"manual", "off", "never"}
}

path := "manual" if count(never) > 0

reason := sprintf("never automatic: %s", [concat(", ", sort(never))]) if count(never) > 0
