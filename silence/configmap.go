package silence

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	gateway "kubernaut.io/gateway"
)

// maxKeySilences bounds the silences of one key: they are all looked at for each
// signal.
const maxKeySilences = 1000

// key is one key of the ConfigMap: the rules of its text, or of the last one
// before that could be read, and what is wrong with it.
type key struct {
	text     string
	rules    []*rule
	problems []string
}

// SetConfigMap tells the data of the ConfigMap, each key a silence or a list of
// some; nil data means that there is no such ConfigMap. What can't be read of a
// list is named and left out, and the others hold; where a text is no YAML at
// all, that key's last good silences go on. It doesn't keep data.
func (s *Set) SetConfigMap(data map[string]string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.keys, func(name string, _ *key) bool {
		_, there := data[name]
		return !there
	})
	for _, name := range slices.Sorted(maps.Keys(data)) {
		k := s.keys[name]
		if k != nil && k.text == data[name] {
			continue
		}
		if k == nil {
			k = &key{}
			s.keys[name] = k
		}
		k.read(name, data[name], s.options.Sources)
		for _, problem := range k.problems {
			s.options.Logger.Error("a silence is left out", "component", "silence", "silence", name, "error", problem)
		}
	}
	s.swap()
}

func (k *key) read(name, text string, sources []string) {
	k.text, k.problems = text, nil
	entries, err := parseEntries(text)
	if err != nil {
		k.problems = []string{fmt.Sprintf("%s: %v; its silences stay as they were", name, err)}
		return
	}
	k.rules = nil
	named := make(map[string]bool)
	for i, entry := range entries {
		written, err := entry.silence()
		if err == nil && named[written.Name] {
			err = fmt.Errorf("name: %q is there twice", written.Name)
		}
		if err != nil {
			k.problems = append(k.problems, fmt.Sprintf("%s[%d]: %v", name, i, err))
			continue
		}
		r, problems := newRule(written, FromConfigMap, FromConfigMap+"/"+name+"/"+written.Name, sources)
		for _, p := range problems {
			k.problems = append(k.problems, fmt.Sprintf("%s[%d] %s: %s: %s", name, i, written.Name, p.Field, p.Message))
		}
		if len(problems) == 0 {
			named[written.Name] = true
			k.rules = append(k.rules, r)
		}
	}
}

func (s *Set) keyRules() []*rule {
	var all []*rule
	for _, name := range slices.Sorted(maps.Keys(s.keys)) {
		all = append(all, s.keys[name].rules...)
	}
	return all
}

// ConfigMapProblems returns what in the ConfigMap can't be read.
func (s *Set) ConfigMapProblems() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.keyProblems()
}

func (s *Set) keyProblems() []string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(s.keys)) {
		for _, problem := range s.keys[name].problems {
			all = append(all, "silences of the ConfigMap: "+problem)
		}
	}
	return all
}

// entry is a silence as YAML has it, not looked into yet.
type entry struct{ node *yaml.Node }

// parseEntries cuts a text into its silences.
func parseEntries(text string) ([]entry, error) {
	loader := yaml.NewDecoder(strings.NewReader(text))
	var doc, second yaml.Node
	switch err := loader.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("not valid YAML: %w", err)
	}
	switch err := loader.Decode(&second); {
	case err == nil:
		return nil, errors.New("there is a second document; write one list")
	case !errors.Is(err, io.EOF):
		return nil, fmt.Errorf("not valid YAML: %w", err)
	}
	if doc.Kind != yaml.DocumentNode || len(doc.Content) == 0 {
		return nil, nil
	}
	root := doc.Content[0]
	switch {
	case root.Kind == yaml.MappingNode:
		return []entry{{root}}, nil
	case root.Kind == yaml.SequenceNode && len(root.Content) > maxKeySilences:
		return nil, fmt.Errorf("%d silences; a key may have %d", len(root.Content), maxKeySilences)
	case root.Kind == yaml.SequenceNode:
		entries := make([]entry, len(root.Content))
		for i, node := range root.Content {
			entries[i].node = node
		}
		return entries, nil
	case root.ShortTag() == "!!null":
		return nil, nil
	default:
		return nil, errors.New("neither a silence nor a list of some")
	}
}

// written is a silence in the ConfigMap; its keys are those of the
// configuration's.
type written struct {
	Name       string   `yaml:"name"`
	Matchers   []string `yaml:"matchers"`
	Namespaces []string `yaml:"namespaces"`
	Sources    []string `yaml:"sources"`
	StartsAt   moment   `yaml:"startsAt"`
	EndsAt     moment   `yaml:"endsAt"`
	Window     struct {
		Cron     string        `yaml:"cron"`
		TimeZone string        `yaml:"timeZone"`
		Duration time.Duration `yaml:"duration"`
	} `yaml:"window"`
	Comment   string `yaml:"comment"`
	CreatedBy string `yaml:"createdBy"`
}

// moment is a time of RFC 3339, in quotes or not.
type moment struct{ time.Time }

// UnmarshalYAML implements yaml.Unmarshaler.
func (m *moment) UnmarshalYAML(n *yaml.Node) error {
	at, err := time.Parse(time.RFC3339, n.Value)
	if err != nil {
		return fmt.Errorf("%q is not a time; write one such as 2030-01-31T18:00:00Z", n.Value)
	}
	m.Time = at
	return nil
}

// silence reads the entry strictly.
func (e entry) silence() (*gateway.Silence, error) {
	var w written
	if err := e.node.Load(&w, yaml.WithKnownFields()); err != nil {
		return nil, err
	}
	return &gateway.Silence{
		Name: w.Name, Matchers: w.Matchers, Namespaces: w.Namespaces, Sources: w.Sources,
		StartsAt: w.StartsAt.Time, EndsAt: w.EndsAt.Time,
		Window:  gateway.SilenceWindow{Cron: w.Window.Cron, TimeZone: w.Window.TimeZone, Duration: w.Window.Duration},
		Comment: w.Comment, CreatedBy: w.CreatedBy,
	}, nil
}
