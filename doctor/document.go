package doctor

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v4"
)

// Bounds of what is read. Alertmanager's own configurations stay far below.
const (
	// MaxFileBytes bounds a file, and a configuration in force.
	MaxFileBytes = 4 << 20
	// maxNodes bounds how much aliases may blow up a file: a few bytes can stand
	// for millions of values.
	maxNodes = 200_000
	maxDepth = 100
)

// value is a place in a document. The zero value, and one whose node is nil, is
// absent; all its methods may be called then.
type value struct {
	node *yaml.Node
	// line is the key's, or where there is none the value's.
	line int
	path string
	// file is set where one document is made of several files.
	file string
}

// load reads the first document of a file. Aliases and merge keys are written
// out in what it returns.
func load(data []byte) (value, error) {
	if len(data) > MaxFileBytes {
		return value{}, fmt.Errorf("larger than %d bytes, the most that is read", MaxFileBytes)
	}
	var doc yaml.Node
	err := yaml.NewDecoder(bytes.NewReader(data)).Decode(&doc)
	if loading, ok := errors.AsType[*yaml.LoadError](err); ok {
		return value{}, &lineError{loading.Mark.Line, "not valid YAML: " + loading.Message}
	}
	switch {
	case errors.Is(err, io.EOF) || err == nil && (doc.Kind != yaml.DocumentNode || len(doc.Content) == 0):
		return value{}, errors.New("the file is empty")
	case err != nil:
		return value{}, fmt.Errorf("not valid YAML: %w", err)
	}
	w := writer{}
	root, err := w.out(doc.Content[0], 0)
	if err != nil {
		return value{}, err
	}
	return value{node: root, line: root.Line}, nil
}

// lineError is an error at a line of a file.
type lineError struct {
	line int
	text string
}

func (e *lineError) Error() string { return e.text }

// writer writes aliases and merge keys out.
type writer struct{ nodes int }

func (w *writer) out(n *yaml.Node, depth int) (*yaml.Node, error) {
	if w.nodes++; w.nodes > maxNodes {
		return nil, fmt.Errorf("more than %d values with all aliases written out", maxNodes)
	}
	if depth > maxDepth {
		return nil, &lineError{n.Line, fmt.Sprintf("nested more than %d deep", maxDepth)}
	}
	if n.Kind == yaml.AliasNode {
		written, err := w.out(n.Alias, depth+1)
		if err != nil {
			return nil, err
		}
		here := *written
		here.Line = n.Line
		return &here, nil
	}
	written := *n
	written.Content = make([]*yaml.Node, 0, len(n.Content))
	if n.Kind == yaml.MappingNode {
		return &written, w.mapping(n, &written, depth)
	}
	for _, element := range n.Content {
		one, err := w.out(element, depth+1)
		if err != nil {
			return nil, err
		}
		written.Content = append(written.Content, one)
	}
	return &written, nil
}

// mapping writes the pairs of from into to, what is merged behind them: what is
// found first holds.
func (w *writer) mapping(from, to *yaml.Node, depth int) error {
	lines := make(map[string]int)
	var merged []*yaml.Node
	for i := 0; i+1 < len(from.Content); i += 2 {
		key := from.Content[i]
		content, err := w.out(from.Content[i+1], depth+1)
		if err != nil {
			return err
		}
		if key.ShortTag() == "!!merge" {
			merged = append(merged, content)
			continue
		}
		name := *key
		if key.Kind == yaml.AliasNode {
			name = *key.Alias
			name.Line = key.Line
		}
		if first, twice := lines[name.Value]; twice && name.Kind == yaml.ScalarNode {
			return &lineError{key.Line, fmt.Sprintf("the key %q is there twice, first on line %d", name.Value, first)}
		}
		lines[name.Value] = key.Line
		to.Content = append(to.Content, &name, content)
	}
	for _, source := range merged {
		if source.Kind == yaml.MappingNode {
			to.Content = append(to.Content, source.Content...)
			continue
		}
		for _, one := range source.Content {
			to.Content = append(to.Content, one.Content...)
		}
	}
	// What is merged was counted once, and stands here once more.
	if w.nodes += len(to.Content) - len(from.Content); w.nodes > maxNodes {
		return fmt.Errorf("more than %d values with all aliases written out", maxNodes)
	}
	return nil
}

// get returns what a mapping has under a key; else an absent value that knows
// where it would be: at the mapping.
func (v value) get(key string) value {
	absent := value{line: v.line, path: join(v.path, key), file: v.file}
	if v.node == nil || v.node.Kind != yaml.MappingNode {
		return absent
	}
	for i := 0; i+1 < len(v.node.Content); i += 2 {
		if k := v.node.Content[i]; k.Kind == yaml.ScalarNode && k.Value == key {
			return value{node: v.node.Content[i+1], line: k.Line, path: absent.path, file: v.file}
		}
	}
	return absent
}

// at returns what is under several keys, one in the other.
func (v value) at(keys ...string) value {
	for _, key := range keys {
		v = v.get(key)
	}
	return v
}

// keys returns the keys of a mapping, each as the place of its value.
func (v value) keys() []string {
	if v.node == nil || v.node.Kind != yaml.MappingNode {
		return nil
	}
	var all []string
	for i := 0; i+1 < len(v.node.Content); i += 2 {
		if v.node.Content[i].Kind == yaml.ScalarNode {
			all = append(all, v.node.Content[i].Value)
		}
	}
	return all
}

// items returns the elements of a list.
func (v value) items() []value {
	if v.node == nil || v.node.Kind != yaml.SequenceNode {
		return nil
	}
	all := make([]value, len(v.node.Content))
	for i, n := range v.node.Content {
		all[i] = value{node: n, line: n.Line, path: fmt.Sprintf("%s[%d]", v.path, i), file: v.file}
	}
	return all
}

// present reports whether there is a value that is not null.
func (v value) present() bool { return v.node != nil && v.node.ShortTag() != "!!null" }

// text returns a scalar as it is written, empty for anything else.
func (v value) text() string {
	if !v.present() || v.node.Kind != yaml.ScalarNode {
		return ""
	}
	return v.node.Value
}

// texts returns the scalars of a list.
func (v value) texts() []string {
	var all []string
	for _, item := range v.items() {
		all = append(all, item.text())
	}
	return all
}

// truth returns a truth value, or what holds where there is none.
func (v value) truth(otherwise bool) bool {
	switch strings.ToLower(v.text()) {
	case "true", "yes", "on", "y":
		return true
	case "false", "no", "off", "n":
		return false
	default:
		return otherwise
	}
}

// duration returns a duration as Prometheus and its kin write it, or as Go does;
// what holds otherwise where there is none, or none that can be read.
func (v value) duration(otherwise time.Duration) time.Duration {
	if d, err := model.ParseDuration(v.text()); err == nil {
		return time.Duration(d)
	}
	if d, err := time.ParseDuration(v.text()); err == nil && d >= 0 {
		return d
	}
	return otherwise
}

// above is the place on the line before a text's first.
func (v value) above() value {
	if v.node != nil {
		v.line = v.node.Line - 1
		if v.node.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 {
			v.line++ // it begins below its bar
		}
	}
	return v
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}
