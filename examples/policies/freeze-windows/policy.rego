# While a release or a sale is on, nothing is automated. The windows are in
# data.yaml, with their ends in RFC 3339, so that they mean the same everywhere.
package gateway

# The names of the windows that hold for this signal now.
frozen contains window.name if {
	some window in data.windows
	input.environment in window.environments
	some pattern in window.namespaces
	glob.match(pattern, null, input.signal.namespace)
	now := time.parse_rfc3339_ns(input.time)
	now >= time.parse_rfc3339_ns(window.from)
	now < time.parse_rfc3339_ns(window.to)
}

path := "manual" if count(frozen) > 0

reason := sprintf("frozen: %s", [concat(", ", sort(frozen))]) if count(frozen) > 0
