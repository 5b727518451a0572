package kube

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kubernaut.io/gateway"
)

const (
	// SwitchConfigMap is the name of the ConfigMap, in the gateway's namespace,
	// that orders a mode for the whole cluster under the key mode.
	SwitchConfigMap = "gateway-guard"
	// switchKey is the ConfigMap's key.
	switchKey = "mode"
	// SwitchAnnotation orders a mode for the namespace that it is on.
	SwitchAnnotation = "kubernaut.io/remediation"
)

// caution orders the modes, the most careful last.
var caution = []gateway.Mode{gateway.ModeNormal, gateway.ModeManual, gateway.ModeOff, gateway.ModeShadow}

// order is what is ordered in one place. The zero order is none: normal.
type order struct {
	mode gateway.Mode
	// from says where it is written, for people.
	from string
	// problem is what is wrong with it, empty where nothing is.
	problem string
}

// moreCareful returns the order that holds of two: of equal ones the first.
func (o order) moreCareful(other order) order {
	if slices.Index(caution, other.mode) > slices.Index(caution, o.mode) {
		return other
	}
	return o
}

// parseOrder reads a mode as a person wrote it. One that is not known, or not
// allowed there, was meant to hold something up: it counts as manual.
func parseOrder(text, from string, allowed ...gateway.Mode) order {
	mode := gateway.Mode(strings.ToLower(strings.TrimSpace(text)))
	if slices.Contains(allowed, mode) {
		return order{mode: mode, from: from}
	}
	problem := fmt.Sprintf("%s: %q is none of %s, and counts as manual", from, text, oneOf(allowed))
	return order{mode: gateway.ModeManual, from: from, problem: problem}
}

func oneOf(modes []gateway.Mode) string {
	names := make([]string, len(modes))
	for i, m := range modes {
		names[i] = string(m)
	}
	return strings.Join(names, ", ")
}

// clusterOrder returns what a ConfigMap orders, nil for one that is not there.
func clusterOrder(m *corev1.ConfigMap) order {
	if m == nil || len(m.Data)+len(m.BinaryData) == 0 {
		return order{mode: gateway.ModeNormal}
	}
	from := "ConfigMap " + m.Namespace + "/" + m.Name
	text, ok := m.Data[switchKey]
	if !ok {
		keys := slices.Concat(slices.Sorted(maps.Keys(m.Data)), slices.Sorted(maps.Keys(m.BinaryData)))
		return order{
			mode: gateway.ModeManual, from: from,
			problem: fmt.Sprintf("%s: no key %s beside %s, which counts as manual", from, switchKey, strings.Join(keys, ", ")),
		}
	}
	return parseOrder(text, from, caution...)
}

// namespaceOrder returns what a namespace's annotation orders, and whether there
// is one.
func namespaceOrder(m *metav1.PartialObjectMetadata) (order, bool) {
	text, ok := m.Annotations[SwitchAnnotation]
	if !ok {
		return order{}, false
	}
	return parseOrder(text, "annotation of namespace "+m.Name, gateway.ModeNormal, gateway.ModeManual, gateway.ModeOff), true
}

// ordering returns of a namespace's annotations the one that orders something.
func ordering(annotations map[string]string) map[string]string {
	text, ok := annotations[SwitchAnnotation]
	if !ok {
		return nil
	}
	return map[string]string{SwitchAnnotation: text}
}

// lastManager returns who wrote an object last as the API server records it,
// empty where it does not.
func lastManager(m *metav1.ObjectMeta) string {
	var last metav1.ManagedFieldsEntry
	for _, entry := range m.ManagedFields {
		if last.Manager == "" || entry.Time != nil && last.Time.Before(entry.Time) {
			last = entry
		}
	}
	return last.Manager
}

// versionOf returns an object's version as a number, which all API servers count
// upwards, and 0 where it is none.
func versionOf(resourceVersion string) uint64 {
	version, err := strconv.ParseUint(resourceVersion, 10, 64)
	if err != nil {
		return 0
	}
	return version
}
