# Automation is let loose on a part of the workloads first: a share of them, by a
# hash of what they are called, so that each is always in or always out. What is
# out waits for an approval where the tables would act.
package gateway

# The workload: the owner where it is known, since pods come and go.
workload := input.signal.owner if input.signal.owner.kind != ""

workload := input.signal.resource if input.signal.owner.kind == ""

digits := "0123456789abcdef"

# A number from 0 to 255 that belongs to the workload.
bucket := (16 * indexof(digits, substring(hash, 0, 1))) + indexof(digits, substring(hash, 1, 1)) if {
	hash := crypto.sha256(sprintf("%s/%s/%s", [workload.kind, workload.namespace, workload.name]))
}

canary if bucket * 100 < data.canary.percent * 256

canary if input.signal.namespace in data.canary.namespaces

path := "conservative" if {
	not canary
	input.matrix.path in {"moderate", "aggressive"}
}

labels["example.com/canary"] := "true" if canary

reason := "not in the canary" if path == "conservative"
