package auth_test

import (
	"context"
	"net/http"
	"testing"

	"kubernaut.io/gateway/ingress/auth"
)

// panicking is a Reviewer with a fault.
type panicking struct{}

func (panicking) Review(context.Context, string, string, string) (string, bool, error) {
	panic("a fault")
}

// A fault in what checks credentials ends the check and not the process.
func TestPanicIsContained(t *testing.T) {
	k, err := auth.NewKubernetes(auth.KubernetesOptions{Reviewer: panicking{}, Slots: auth.NewSlots(1), Path: "/webhook/a"})
	if err != nil {
		t.Fatal(err)
	}
	r := mustAny(t, k)
	for range 2 { // the slot is given back
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "/", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer a.b.c")
		if status, told := r.ask(t, request, ""); status != http.StatusServiceUnavailable || told != "prometheus kubernetes unavailable" {
			t.Errorf("%d, told %q", status, told)
		}
	}
}
