package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"go.yaml.in/yaml/v4"
)

// maxFileBytes bounds a configuration file. It is the size that a ConfigMap may
// have, from which the file will mostly come.
const maxFileBytes = 1 << 20

// Override changes a configuration after it was read and before it is validated,
// as flags do that win over the file.
type Override func(*Config)

// Reading says how a configuration is read.
type Reading struct {
	Overrides []Override
	// Check, where it is set, finds what is wrong with the values that this package
	// can't judge. Of its problems the path and the message count.
	Check func(*Config) Problems
}

// Load reads a file. What is wrong with its content is returned as Problems,
// all of it; any other error means that the file could not be read.
func Load(path string, overrides ...Override) (*Config, error) {
	return Reading{Overrides: overrides}.Load(path)
}

// Load is the function Load, with what r adds.
func (r Reading) Load(path string) (*Config, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFileBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	c, err := r.Parse(data)
	if problems, ok := errors.AsType[Problems](err); ok {
		for _, p := range problems {
			p.File = path
		}
	}
	return c, err
}

// Parse reads the content of a file over Default. Its error is Problems.
func Parse(data []byte, overrides ...Override) (*Config, error) {
	return Reading{Overrides: overrides}.Parse(data)
}

// Parse is the function Parse, with what r adds.
func (r Reading) Parse(data []byte) (*Config, error) {
	root, err := document(data)
	if err != nil {
		return nil, Problems{syntaxProblem(err)}
	}
	c := Default()
	d := decoder{at: make(map[string]position)}
	if root != nil {
		d.root(root, c)
	}
	for _, override := range r.Overrides {
		override(c)
	}
	problems, found := d.problems, c.check()
	if r.Check != nil {
		found = append(found, r.Check(c)...)
	}
	for _, p := range found {
		if d.problems.concerns(p.Path) || p.because != "" && d.problems.concerns(p.because) {
			continue
		}
		at := d.position(p.Path)
		p.Line, p.column = at.line, at.column
		problems = append(problems, p)
	}
	problems.sort()
	if err := problems.orNil(); err != nil {
		return nil, err
	}
	return c, nil
}

// Validate returns what is wrong with c as Problems. It looks whether the files
// that c names can be read.
func (c *Config) Validate() error { return c.check().orNil() }

// document returns the root of the only document in data, nil for an empty one.
func document(data []byte) (*yaml.Node, error) {
	if len(data) > maxFileBytes {
		return nil, fmt.Errorf("larger than %d bytes, the most that is read", maxFileBytes)
	}
	loader := yaml.NewDecoder(bytes.NewReader(data))
	var doc yaml.Node
	switch err := loader.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return nil, nil
	case err != nil:
		return nil, err
	}
	var second yaml.Node
	switch err := loader.Decode(&second); {
	case err == nil:
		return nil, fmt.Errorf("a second document begins on line %d; write one", second.Line)
	case !errors.Is(err, io.EOF):
		return nil, err
	}
	if doc.Kind != yaml.DocumentNode || len(doc.Content) == 0 {
		return nil, nil
	}
	return doc.Content[0], nil
}

// syntaxProblem translates an error of the YAML library, which names a line.
func syntaxProblem(err error) *Problem {
	var load *yaml.LoadError
	if !errors.As(err, &load) {
		return &Problem{Message: err.Error()}
	}
	return &Problem{Line: load.Mark.Line, Message: "not valid YAML: " + load.Message}
}
