# Each team owns its namespaces: it is named on the request, says how far
# remediation may go at most, and which of its signals are urgent. The teams are
# in data.yaml; where the patterns of two match, the first in the list is it.
package gateway

team := [t |
	some t in data.teams
	some pattern in t.namespaces
	glob.match(pattern, null, input.signal.namespace)
][0]

labels.team := team.name

# Paths from careful to bold.
paths := ["manual", "conservative", "moderate", "aggressive"]

rank[path] := i if some i, path in paths

# The team's limit makes a path more careful, never bolder.
path := team.path if rank[team.path] < rank[input.matrix.path]

priority := "P0" if {
	input.environment == "production"
	input.signal.name in team.urgent
}

reason := sprintf("owned by %s, ask %s", [team.name, team.contact])
