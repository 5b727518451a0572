package replay

import gateway "kubernaut.io/gateway"

// maxMismatches is how many decisions that came out otherwise are told in full.
const maxMismatches = 10

// Check compares decisions with what they were live. It is its own JSON, and is
// not safe for concurrent use.
type Check struct {
	// Exact says that they were made by the very answers that the live ones got,
	// and are compared whole. Otherwise they come from a world that is made up from
	// the recording, by the baseline's rules, and only outcome, environment,
	// priority and path are compared.
	Exact     bool  `json:"exact"`
	Decisions int64 `json:"decisions"`
	Same      int64 `json:"same"`
	// Mismatches are the first that were not the same, at most 10.
	Mismatches []Mismatch `json:"mismatches,omitempty"`
}

// Mismatch is a decision that came out otherwise than it did live.
type Mismatch struct {
	Request  string           `json:"request"`
	Index    int              `json:"index"`
	Live     gateway.Decision `json:"live"`
	Replayed gateway.Decision `json:"replayed"`
	Why      string           `json:"why,omitempty"`
}

// Add counts one decision. It keeps m where it is one of the first that were not
// the same, without the steps of its decisions.
func (c *Check) Add(m *Mismatch, same bool) {
	c.Decisions++
	if same {
		c.Same++
	} else if len(c.Mismatches) < maxMismatches {
		m.Live.Steps, m.Replayed.Steps = nil, nil
		c.Mismatches = append(c.Mismatches, *m)
	}
}
