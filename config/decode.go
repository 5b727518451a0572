package config

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

// maxNodes bounds how much aliases may blow up a file: a few bytes can stand for
// millions of values.
const maxNodes = 100_000

type position struct{ line, column int }

// decoder reads YAML into a Config and goes on after each problem, where the
// library would stop, or not know the path.
type decoder struct {
	problems Problems
	// at is where the values of paths are.
	at    map[string]position
	nodes int
}

var (
	durationType = reflect.TypeFor[time.Duration]()
	timeType     = reflect.TypeFor[time.Time]()
	wordType     = reflect.TypeFor[Word]()
	plainKey     = regexp.MustCompile(`^[\w-]+$`)
)

func (d *decoder) root(n *yaml.Node, c *Config) {
	d.decode(n, reflect.ValueOf(c).Elem(), "")
	if d.nodes > maxNodes {
		d.problems = Problems{{Message: fmt.Sprintf("more than %d values with all aliases written out", maxNodes)}}
	}
}

func (d *decoder) problem(n *yaml.Node, path, format string, args ...any) {
	d.problems = append(d.problems, &Problem{
		Line: n.Line, column: n.Column, Path: path, Message: fmt.Sprintf(format, args...),
	})
}

// position returns where path's value is, or the nearest that it is a part of.
func (d *decoder) position(path string) position {
	for path != "" {
		if at, ok := d.at[path]; ok {
			return at
		}
		path = path[:max(0, strings.LastIndexAny(path, ".["))]
	}
	return position{}
}

// decode reads n into v. Where it can't it notes a problem and leaves v alone.
func (d *decoder) decode(n *yaml.Node, v reflect.Value, path string) {
	if d.nodes++; d.nodes > maxNodes {
		return
	}
	d.at[path] = position{n.Line, n.Column}
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	switch {
	case v.Type() == durationType:
		d.duration(n, v, path)
	case v.Type() == timeType:
		d.time(n, v, path)
	case v.Kind() == reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		if element, ok := v.Interface().(interface{ setDefaults() }); ok {
			element.setDefaults()
		}
		d.decode(n, v.Elem(), path)
	case v.Kind() == reflect.Struct:
		d.structure(n, v, path)
	case v.Kind() == reflect.Map:
		d.mapping(n, v, path)
	case v.Kind() == reflect.Slice:
		d.list(n, v, path)
	case v.Kind() == reflect.String:
		d.text(n, v, path)
	default:
		d.scalar(n, v, path)
	}
}

func (d *decoder) structure(n *yaml.Node, v reflect.Value, path string) {
	fields := make(map[string]reflect.Value, v.NumField())
	var keys []string
	for i := range v.NumField() {
		key, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("yaml"), ",")
		fields[key] = v.Field(i)
		keys = append(keys, key)
	}
	d.pairs(n, reflect.TypeFor[string](), path, func(key *yaml.Node, k reflect.Value, value *yaml.Node) {
		at := join(path, k.String())
		field, ok := fields[k.String()]
		if !ok {
			d.problem(key, at, "%s", unknownKey(k.String(), keys))
			return
		}
		d.decode(value, field, at)
	})
}

func (d *decoder) mapping(n *yaml.Node, v reflect.Value, path string) {
	m := reflect.MakeMap(v.Type())
	d.pairs(n, v.Type().Key(), path, func(_ *yaml.Node, k reflect.Value, value *yaml.Node) {
		element := reflect.New(v.Type().Elem()).Elem()
		d.decode(value, element, join(path, k.String()))
		m.SetMapIndex(k, element)
	})
	v.Set(m)
}

// pairs calls each with what a mapping holds, each key decoded as keyType. A
// mapping that is left empty (null) holds nothing.
func (d *decoder) pairs(n *yaml.Node, keyType reflect.Type, path string, each func(key *yaml.Node, k reflect.Value, value *yaml.Node)) {
	if n.ShortTag() == "!!null" {
		return
	}
	if n.Kind != yaml.MappingNode {
		d.problem(n, path, "%s, not a mapping; write keys with values", describe(n))
		return
	}
	lines := make(map[string]int)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.Kind == yaml.AliasNode {
			key = key.Alias
		}
		if key.ShortTag() == "!!merge" {
			d.problem(key, path, "merge keys (<<) are not read; write the values out")
			continue
		}
		k := reflect.New(keyType).Elem()
		if !d.text(key, k, path) {
			continue
		}
		if first, ok := lines[k.String()]; ok {
			d.problem(n.Content[i], join(path, k.String()), "this key is there twice, first on line %d", first)
			continue
		}
		lines[k.String()] = n.Content[i].Line
		each(n.Content[i], k, value)
	}
}

func (d *decoder) list(n *yaml.Node, v reflect.Value, path string) {
	if n.Kind != yaml.SequenceNode {
		d.problem(n, path, "%s, not a list; write [a, b], or [] for none", describe(n))
		return
	}
	list := reflect.MakeSlice(v.Type(), 0, len(n.Content))
	for i, element := range n.Content {
		value := reflect.New(v.Type().Elem()).Elem()
		d.decode(element, value, fmt.Sprintf("%s[%d]", path, i))
		list = reflect.Append(list, value)
	}
	v.Set(list)
}

// text reads a string and reports whether it was one. YAML reads some words as
// something else; whoever meant a string has to say so.
func (d *decoder) text(n *yaml.Node, v reflect.Value, path string) bool {
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!str" {
		hint := ""
		if n.Kind == yaml.ScalarNode && n.Value != "" {
			hint = fmt.Sprintf("; write %q in quotes", n.Value)
		}
		d.problem(n, path, "%s, not a text%s", describe(n), hint)
		return false
	}
	value := n.Value
	if v.Type() == wordType {
		value = strings.ToLower(strings.TrimSpace(value))
	}
	v.SetString(value)
	return true
}

// scalar reads numbers and truth values.
func (d *decoder) scalar(n *yaml.Node, v reflect.Value, path string) {
	want, tags := "a whole number", "!!int"
	switch v.Kind() {
	case reflect.Bool:
		want, tags = "true or false", "!!bool"
	case reflect.Float64:
		want, tags = "a number", "!!int !!float"
	}
	read := reflect.New(v.Type())
	switch _, err := strconv.ParseInt(n.Value, 10, 64); {
	case v.CanInt() && errors.Is(err, strconv.ErrRange):
		d.problem(n, path, "%s is too large", n.Value)
		return
	case n.Kind != yaml.ScalarNode || !strings.Contains(tags, n.ShortTag()):
		d.problem(n, path, "%s, not %s", describe(n), want)
		return
	}
	if err := n.Decode(read.Interface()); err != nil {
		d.problem(n, path, "%s is not %s", n.Value, want)
		return
	}
	if f, ok := read.Interface().(*float64); ok && (math.IsNaN(*f) || math.IsInf(*f, 0)) {
		d.problem(n, path, "%s is not a number to count with", n.Value)
		return
	}
	v.Set(read.Elem())
}

func (d *decoder) duration(n *yaml.Node, v reflect.Value, path string) {
	if n.Kind != yaml.ScalarNode || n.ShortTag() == "!!null" {
		d.problem(n, path, "%s, not a duration; write one such as 90s, 5m or 1h30m", describe(n))
		return
	}
	value, err := time.ParseDuration(n.Value)
	if err != nil {
		hint := "write one such as 300ms, 90s, 5m or 24h"
		if n.ShortTag() == "!!int" {
			hint = fmt.Sprintf("it has no unit; write %ss, for instance", n.Value)
		}
		d.problem(n, path, "%q is not a duration; %s", n.Value, hint)
		return
	}
	v.SetInt(int64(value))
}

// time reads a time, in quotes or not.
func (d *decoder) time(n *yaml.Node, v reflect.Value, path string) {
	const hint = "write one such as 2030-01-31T18:00:00Z"
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!timestamp" && n.ShortTag() != "!!str" {
		d.problem(n, path, "%s, not a time; %s", describe(n), hint)
		return
	}
	value, err := time.Parse(time.RFC3339, n.Value)
	if err != nil {
		d.problem(n, path, "%q is not a time; %s", n.Value, hint)
		return
	}
	v.Set(reflect.ValueOf(value))
}

// join returns the path of a key, in the way in which one would look for it.
func join(path, key string) string {
	switch {
	case !plainKey.MatchString(key):
		return fmt.Sprintf("%s[%q]", path, key)
	case path == "":
		return key
	default:
		return path + "." + key
	}
}

// describe says what n is, in the words of a person who writes YAML.
func describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "this is a mapping"
	case yaml.SequenceNode:
		return "this is a list"
	}
	switch n.ShortTag() {
	case "!!null":
		return "this has no value"
	case "!!str":
		return fmt.Sprintf("%q is a text", n.Value)
	case "!!int", "!!float":
		return n.Value + " is a number"
	case "!!bool":
		return n.Value + " is a truth value"
	default:
		return fmt.Sprintf("%q is a %s", n.Value, strings.TrimLeft(n.ShortTag(), "!"))
	}
}
