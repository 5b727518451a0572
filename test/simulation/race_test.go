//go:build race

package simulation

// raced says that the race detector is on: it lets goroutines run in an order of
// its own, and is ten times slower.
const raced = true
