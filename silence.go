package gateway

import "time"

// Silences are what people do not want to hear of for a while. They are safe
// for concurrent use, and asked for every signal.
type Silences interface {
	// Silenced returns the ID of a silence that holds for s at the given time,
	// and whether there is one.
	Silenced(s *Signal, at time.Time) (id string, silenced bool)
}
