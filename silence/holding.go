package silence

import "time"

// Holding is a silence that is in force.
type Holding struct {
	// ID is what decisions name, From the place that it comes from.
	ID, From string
	// Until is when it ends; zero for one that comes again by its window.
	Until time.Time
}

// Holding returns the silences that hold at a time, in the order in which they
// are asked.
func (s *Set) Holding(at time.Time) []Holding {
	all := s.rules.Load()
	if all == nil {
		return nil
	}
	var holding []Holding
	for _, r := range *all {
		if !r.holds(at) {
			continue
		}
		h := Holding{ID: r.id, From: r.from}
		if r.window == nil {
			h.Until = r.endsAt
		}
		holding = append(holding, h)
	}
	return holding
}
