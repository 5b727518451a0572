package gateway

import "time"

// BudgetLimits bound how many unfinished requests may have a path that is not
// manual, 0 for any number.
type BudgetLimits struct {
	// Owner is for the requests about one workload, Namespace for those about
	// the objects of one namespace, Cluster for all.
	Owner, Namespace, Cluster int
}

// Holding is an unfinished request whose path is not manual: it holds a place
// in the budget.
type Holding struct {
	// ID is HoldingID of the request.
	ID string
	// Owner and Namespace are what its resource counts for, empty for none.
	Owner, Namespace string
}

// HoldingID names a request's place in the budget. Another request that has the
// name of a deleted one has another place.
func HoldingID(name string, received time.Time) string {
	return name + "@" + received.UTC().Format("20060102T150405.000000")
}

// Booking asks for a place in the budget.
type Booking struct {
	Holding
	At     time.Time
	Limits BudgetLimits
	// Held are the places that this replica sees taken, as the cluster shows
	// them and with its own creates under way.
	Held []Holding
	// Forget is after how long a place that was given out is free again if the
	// replica that asks does not see it taken: its create failed, or its end
	// was told to nobody.
	Forget time.Duration
}
