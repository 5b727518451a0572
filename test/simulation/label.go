package simulation

import (
	"fmt"
	"strings"

	jsonv2 "github.com/go-json-experiment/json"

	gateway "kubernaut.io/gateway"
	"kubernaut.io/gateway/api/v1alpha1"
)

// titleOf names a request in words: what it is about, and its number.
func titleOf(rr *v1alpha1.RemediationRequest) string {
	f, err := gateway.ParseFingerprint(rr.Spec.SignalFingerprint)
	if err != nil {
		return rr.Name
	}
	return title(label(f), rr.Spec.Sequence)
}

// ordered names the request that the body of a create asks for.
func ordered(body []byte) string {
	rr := new(v1alpha1.RemediationRequest)
	if err := jsonv2.Unmarshal(body, rr); err != nil {
		return "something"
	}
	return titleOf(rr)
}

// selected names what a field selector selects.
func selected(selector string) string {
	_, value, _ := strings.Cut(selector, "=")
	if f, err := gateway.ParseFingerprint(value); err == nil {
		return label(f)
	}
	return selector
}

// entered names an entry of a storm's window.
func entered(e gateway.Entry) string {
	id := e.ID
	if f, err := gateway.ParseFingerprint(id); err == nil {
		id = label(f)
	}
	return fmt.Sprintf("%s into %s %s", called(id), e.Group.Kind, e.Group)
}
