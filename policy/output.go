package policy

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
	"k8s.io/apimachinery/pkg/util/validation"

	"kubernaut.io/gateway"
)

// Bounds of what a policy may say.
const (
	// maxLabels is how many labels it may put on a request.
	maxLabels = 16
	// maxReason bounds its reason, in runes; what is longer is cut.
	maxReason = 500
	// maxShown is how much of a wrong value is shown, in runes.
	maxShown = 60
)

// reservedDomains are the prefixes of labels that are not a policy's to set, nor
// are those of their subdomains.
var reservedDomains = []string{"kubernaut.io", "app.kubernetes.io"}

// take reads the value of one output into the answer. Nil is undefined, which
// leaves it to the tables; so does, with a fault, what is invalid.
func (t *trial) take(output string, value ast.Value, rules []string) {
	if value == nil {
		return
	}
	wrong := ""
	switch output {
	case OutputPriority:
		t.answer.Priority, wrong = oneOf(value, gateway.Priorities)
	case OutputPath:
		t.answer.Path, wrong = oneOf(value, gateway.Paths)
	case OutputSuppress:
		suppress, ok := value.(ast.Boolean)
		t.answer.Suppress = bool(suppress)
		if !ok {
			wrong = show(value) + " is neither true nor false"
		}
	case OutputReason:
		reason, ok := value.(ast.String)
		t.answer.Reason = cut(plain(string(reason)), maxReason)
		if !ok {
			wrong = show(value) + " is not a string"
		}
	case OutputLabels:
		wrong = t.takeLabels(value)
	}
	if wrong != "" {
		if len(rules) > 0 {
			wrong = strings.Join(rules, ", ") + ": " + wrong
		}
		t.fell(output, CauseInvalid, wrong)
		if output != OutputLabels || t.answer.Labels == nil {
			return
		}
	}
	if t.rules == nil {
		t.rules = make(map[string][]string)
	}
	t.rules[output] = rules
}

// takeLabels reads labels and returns what is wrong with them. One that is wrong
// leaves the others alone.
func (t *trial) takeLabels(value ast.Value) (wrong string) {
	labels, ok := value.(ast.Object)
	switch {
	case !ok:
		return show(value) + " is not an object of strings"
	case labels.Len() > maxLabels:
		return fmt.Sprintf("%d labels; at most %d are allowed", labels.Len(), maxLabels)
	}
	var problems []string
	for _, key := range labels.Keys() {
		k, v, problem := label(key.Value, labels.Get(key).Value)
		if problem != "" {
			problems = append(problems, problem)
			continue
		}
		if t.answer.Labels == nil {
			t.answer.Labels = make(map[string]string)
		}
		t.answer.Labels[k] = v
	}
	return strings.Join(problems, "; ")
}

// label checks one label against the rules of Kubernetes, and ours.
func label(key, value ast.Value) (k, v, problem string) {
	name, isString := key.(ast.String)
	text, alsoString := value.(ast.String)
	if !isString || !alsoString {
		return "", "", show(key) + ": " + show(value) + " is not a string"
	}
	k, v = string(name), string(text)
	if problems := validation.IsQualifiedName(k); len(problems) > 0 {
		return "", "", show(key) + " is no label's key: " + problems[0]
	}
	if problems := validation.IsValidLabelValue(v); len(problems) > 0 {
		return "", "", show(key) + ": " + show(value) + " is no label's value: " + problems[0]
	}
	prefix, _, _ := strings.Cut(k, "/")
	if strings.Contains(k, "/") && slices.ContainsFunc(reservedDomains, func(domain string) bool {
		return prefix == domain || strings.HasSuffix(prefix, "."+domain)
	}) {
		return "", "", show(key) + " is reserved"
	}
	return k, v, ""
}

// builtins tells of built-ins that failed. The first is described; in a loop
// there may be thousands.
func (t *trial) builtins(failures []topdown.Error) {
	if len(failures) == 0 || t.failed {
		return
	}
	t.failed = true
	first := &failures[0]
	t.fell(Whole, CauseBuiltin, fmt.Sprintf("%s: %s; what needs it is undefined", location(first.Location), plain(first.Message)))
}

// oneOf returns value as one of values, or what is wrong with it.
func oneOf[T ~string](value ast.Value, values []T) (one T, wrong string) {
	text, ok := value.(ast.String)
	if ok && slices.Contains(values, T(text)) {
		return T(text), ""
	}
	return "", fmt.Sprintf("%s is none of %v", show(value), values)
}

// show returns a value as people write it, cut to what a message has room for.
func show(value ast.Value) string {
	switch v := value.(type) {
	case ast.String:
		return fmt.Sprintf("%q", cut(string(v), maxShown))
	case ast.Boolean, ast.Null, ast.Number:
		return cut(value.String(), maxShown)
	default:
		// The whole of a large value would be written only to be cut.
		return "a value of type " + ast.ValueName(value)
	}
}

// plain makes one line of text that has no control characters.
func plain(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "\uFFFD"))
}

// cut cuts text to a number of runes and marks it.
func cut(text string, runes int) string {
	if len(text) <= runes {
		return text
	}
	all := []rune(text)
	if len(all) <= runes {
		return text
	}
	return string(all[:runes-1]) + "…"
}
