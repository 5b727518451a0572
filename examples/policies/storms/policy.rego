# In a storm the cause is seldom in what fires. A large one, or one on many
# resources at once, is for a person, and urgent; what only informs stays quiet
# while it lasts.
#
# The gateway makes a storm's path one step more careful by itself, after this.
package gateway

large if input.storm.members >= data.storms.large

path := "manual" if large

path := "manual" if input.storm.kind == "pattern"

priority := "P0" if {
	large
	input.environment == "production"
}

suppress if {
	input.storm != null
	input.signal.severity == "info"
}

reason := sprintf("%s storm in %s, %d episodes so far", [input.storm.kind, input.storm.group, input.storm.members])
