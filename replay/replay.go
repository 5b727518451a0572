// Package replay decides recorded signals again: by the same rules with the very
// answers that the live decisions got, to show that they come out the same, or
// by other rules in a world that is made up from the recording, to show what
// would have been different. It has no effects and asks nobody.
package replay

import (
	"time"

	gateway "kubernaut.io/gateway"
)

// Item is one signal of a recording, in the order in which it was decided.
type Item struct {
	// Request and Index tell it from all others: the ID of the request that it came
	// in, and its place there from 0.
	Request string
	Index   int
	// At is when it was received.
	At     time.Time
	Signal gateway.Signal
	// Live is what was decided then; nil where that is not known.
	Live *gateway.Decision
	// Again says that it was decided anew without having been sent again: it had
	// been parked.
	Again bool
}

// Decided is one signal with what was decided about it. A Report takes any number
// of them and keeps none.
type Decided struct {
	*Item
	Decision gateway.Decision
}
