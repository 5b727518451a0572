# Trouble that is back soon after it was remediated was not remediated. The
# second time it is one step more careful; after a failure, or when it has come
# back again and again, a person acts.
package gateway

# Paths from careful to bold.
paths := ["manual", "conservative", "moderate", "aggressive"]

rank[path] := i if some i, path in paths

back_soon if {
	input.previous.completedAt != null
	since := time.parse_rfc3339_ns(input.time) - time.parse_rfc3339_ns(input.previous.completedAt)
	since < data.flapping.soonMinutes * 60 * 1000000000
}

again_and_again if {
	back_soon
	input.previous.sequence >= data.flapping.often
}

failed_before if {
	back_soon
	input.previous.phase in {"failed", "timedout"}
}

path := "manual" if {
	again_and_again
} else := "manual" if {
	failed_before
} else := paths[max([0, rank[input.matrix.path] - 1])] if {
	back_soon
}

labels["example.com/flapping"] := "true" if back_soon

reason := sprintf("back after %s had ended it as %s", [input.previous.name, input.previous.phase]) if back_soon
