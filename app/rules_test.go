package app

import (
	"testing"
	"testing/synctest"
	"time"

	"kubernaut.io/gateway/config"
)

// TestRefusedPolicyIsTriedAgain after a while, and at once where it is another.
func TestRefusedPolicyIsTriedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		by := config.Policy{Path: "policies"}
		var none refusal
		if none.stands(&by, "") {
			t.Error("what was never refused stands")
		}
		r := refusal{by: by, revision: "1", at: time.Now()}
		other := config.Policy{Path: "others"}
		if !r.stands(&by, "1") || r.stands(&by, "2") || r.stands(&other, "1") {
			t.Error("it does not stand for its own files alone")
		}
		time.Sleep(refusedFor)
		if r.stands(&by, "1") {
			t.Error("it stands for ever")
		}
	})
}
