package config

import (
	"cmp"
	"fmt"
	"iter"
	"maps"
	"os"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"kubernaut.io/gateway"
)

// checker collects what is wrong with the values of a Config.
type checker struct{ problems Problems }

func (k *checker) problem(path, format string, args ...any) {
	k.problems = append(k.problems, &Problem{Path: path, Message: fmt.Sprintf(format, args...)})
}

func (k *checker) positive(path string, d time.Duration) {
	if d <= 0 {
		k.problem(path, "%v is not more than 0", d)
	}
}

func (k *checker) notNegative(path string, d time.Duration) {
	if d < 0 {
		k.problem(path, "%v is less than 0", d)
	}
}

func (k *checker) oneOf(path, noun, value string, allowed ...string) {
	switch {
	case slices.Contains(allowed, value):
	case value == "":
		k.problem(path, "this is missing; use %s", list(allowed))
	default:
		k.problem(path, "%q is not a %s; use %s", value, noun, list(allowed))
	}
}

// label checks a namespace's, source's or environment's name.
func (k *checker) label(path, value string) {
	switch {
	case value == "":
		k.problem(path, "a name is missing")
	case !gateway.IsDNSLabel(value):
		k.problem(path, "%q is not a name; use at most 63 lower-case letters, digits and dashes, no dash at the ends", value)
	}
}

func (k *checker) severity(path string, value Word) {
	if n := utf8.RuneCountInString(string(value)); n < 1 || n > maxSeverity {
		k.problem(path, "%q is not a severity; write 1 to %d characters", value, maxSeverity)
	}
}

// notAlias refuses a word that would never be met, because it is itself an alias
// of another. One that stands for itself (but) is none.
func (k *checker) notAlias(path string, value, but Word, aliases map[Word]Word) {
	if target, ok := aliases[value]; ok && target != value && value != but {
		k.problem(path, "%q is itself an alias of %q; write that", value, target)
	}
}

// readable checks that file can be read, as far as one can tell before.
func (k *checker) readable(path, file string) {
	info, err := os.Stat(file)
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a file", file)
	}
	if err == nil {
		var f *os.File
		if f, err = os.Open(file); err == nil {
			err = f.Close()
		}
	}
	if err != nil {
		k.problem(path, "%v", err)
	}
}

func (k *checker) address(path, value string) endpoint {
	e, err := parseEndpoint(value)
	if err != nil {
		k.problem(path, "%q is not an address; %v", value, err)
	}
	return e
}

// list names values as a sentence does.
func list(values []string) string {
	if len(values) < 2 {
		return strings.Join(values, "")
	}
	return strings.Join(values[:len(values)-1], ", ") + " or " + values[len(values)-1]
}

func texts[T ~string](values []T) []string {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = string(v)
	}
	return out
}

// inOrder yields a map's entries by their keys, so that problems have one order.
func inOrder[K cmp.Ordered, V any](m map[K]V) iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		for _, key := range slices.Sorted(maps.Keys(m)) {
			if !yield(key, m[key]) {
				return
			}
		}
	}
}
