package gateway

// Rules are what the people who run the gateway may change while it runs. A
// batch is decided by one set of them, whole; a set is immutable once in force.
type Rules struct {
	Suppression Suppression
	Environment EnvironmentRules
	Matrix      Matrix
	Guard       Guard
	// Policy is asked after the tables; nil for none.
	Policy Policy
	// Revision is the SHA-256, in hex, of what the rules were read from but the
	// policy, which has a revision of its own. Empty where they were not read.
	Revision string
}

// Fixed returns Options.Rules for rules that never change.
func Fixed(r Rules) func() *Rules { return func() *Rules { return &r } }
