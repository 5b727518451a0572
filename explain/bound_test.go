package explain

import (
	"testing"

	gateway "kubernaut.io/gateway"
)

// What has gone takes no room, however much went through.
func TestRingDoesNotGrow(t *testing.T) {
	r, err := NewRing(RingOptions{
		Decisions: 10, Decode: func(string, []byte) (gateway.Batch, error) { return gateway.Batch{}, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	for range 10_000 {
		r.Add(Exchange{Decisions: make([]gateway.Decision, 1)})
	}
	if n := cap(r.kept); n > 64 {
		t.Errorf("there is room for %d", n)
	}
}
