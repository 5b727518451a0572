package policy

import (
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/util"
)

// packageName is the package of a policy's rules; its tests may have
// testPackage, as is usual.
const (
	packageName = "gateway"
	testPackage = "gateway_test"
)

// Problem is one thing that is wrong with a policy's files.
type Problem struct {
	// Location is "FILE:LINE", or a file, relative to the policy's directory.
	Location string
	Text     string
}

// Problems is everything that was found wrong with a policy, one a line.
type Problems []Problem

func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, problem := range p {
		lines[i] = strings.TrimPrefix(problem.Location+": "+problem.Text, ": ")
	}
	return strings.Join(lines, "\n")
}

// err returns p as an error, nil where there is no problem.
func (p Problems) err() error {
	if len(p) == 0 {
		return nil
	}
	return p
}

// Bundle is a policy's files, parsed and compiled. It is immutable and safe for
// concurrent use.
type Bundle struct {
	path     string
	revision string
	names    []string
	texts    map[string]string
	// rules and tests are the modules by file name, as they were written.
	rules, tests map[string]*ast.Module
	data         map[string]any
	compiled     compiled
}

// Revision is the SHA-256, in hex, over the sorted names and contents of the
// files that make up the policy, its tests included.
func (b *Bundle) Revision() string { return b.revision }

// Files returns the names of those files, relative to the policy's directory.
func (b *Bundle) Files() []string { return slices.Clone(b.names) }

// Texts returns the content of those files, by name.
func (b *Bundle) Texts() map[string]string { return maps.Clone(b.texts) }

// Path returns what was loaded.
func (b *Bundle) Path() string { return b.path }

// Load reads a directory of .rego, data.json and data.yaml files, or a single
// .rego file, and compiles it. Hidden names are left out, which makes a mounted
// ConfigMap be read once, and from one state of it. What is wrong with the files
// themselves is returned as Problems, all of it at once.
func Load(path string) (*Bundle, error) {
	files, err := readFiles(path)
	if err != nil {
		return nil, fmt.Errorf("policy %s: %w", path, err)
	}
	b := &Bundle{
		path: path, revision: revision(files), data: make(map[string]any), texts: make(map[string]string),
		rules: make(map[string]*ast.Module), tests: make(map[string]*ast.Module),
	}
	var problems Problems
	for _, f := range files {
		b.names = append(b.names, f.name)
		b.texts[f.name] = string(f.text)
		problems = append(problems, b.add(f)...)
	}
	if len(problems) == 0 && len(b.rules) == 0 {
		problems = Problems{{Text: "no .rego file that is not a test"}}
	}
	if len(problems) == 0 {
		b.compiled, problems = compile(b.rules)
	}
	if err := problems.err(); err != nil {
		return nil, fmt.Errorf("policy %s:\n%w", path, err)
	}
	return b, nil
}

// Revision returns the revision that Load of the same path has, without parsing
// or compiling anything: who has loaded that revision already needs no Load. It
// reads the same files within the same bounds. Files that Load refuses for what
// is in them have a revision too.
func Revision(path string) (string, error) {
	files, err := readFiles(path)
	if err != nil {
		return "", fmt.Errorf("policy %s: %w", path, err)
	}
	return revision(files), nil
}

// add takes one file in.
func (b *Bundle) add(f file) Problems {
	if !f.isRego() {
		return b.addData(f)
	}
	module, problems := parse(f)
	if len(problems) > 0 {
		return problems
	}
	if f.isTest() {
		b.tests[f.name] = module
	} else {
		b.rules[f.name] = module
	}
	return nil
}

// parse reads one file of rules and checks what needs no other file.
func parse(f file) (*ast.Module, Problems) {
	module, err := ast.ParseModuleWithOpts(f.name, string(f.text), ast.ParserOptions{
		RegoVersion: ast.RegoV1, ProcessAnnotation: true,
	})
	if err != nil {
		return nil, problemsOf(f.name, err)
	}
	found := strings.TrimPrefix(module.Package.Path.String(), "data.")
	if found != packageName && (found != testPackage || !f.isTest()) {
		return nil, Problems{{location(module.Package.Location), fmt.Sprintf("package %s is not asked; write \"package %s\"", found, packageName)}}
	}
	problems := append(checkBuiltins(module), checkRefs(module)...)
	return module, append(problems, checkOutputs(module)...)
}

// addData takes a data file in, under the names of the directories that it lies
// in.
func (b *Bundle) addData(f file) Problems {
	var value any
	if err := util.Unmarshal(f.text, &value); err != nil {
		return Problems{{f.name, strings.ReplaceAll(err.Error(), "\n", " ")}}
	}
	document, ok := value.(map[string]any)
	if !ok {
		return Problems{{f.name, "not an object; data files name their values"}}
	}
	if dir := path.Dir(f.name); dir != "." {
		parts := strings.Split(dir, "/")
		for _, part := range slices.Backward(parts) {
			document = map[string]any{part: document}
		}
	}
	if _, taken := document[packageName]; taken {
		return Problems{{f.name, fmt.Sprintf("%q is where the rules are; give the data another name", packageName)}}
	}
	if at, ok := merge(b.data, document); !ok {
		return Problems{{f.name, at + " is in another data file too"}}
	}
	return nil
}

// merge adds from to into, unless something is in both; it returns what.
func merge(into, from map[string]any) (conflict string, ok bool) {
	for key, value := range from {
		there, taken := into[key]
		if !taken {
			into[key] = value
			continue
		}
		a, deep := there.(map[string]any)
		b, both := value.(map[string]any)
		if !deep || !both {
			return key, false
		}
		if inside, ok := merge(a, b); !ok {
			return key + "." + inside, false
		}
	}
	return "", true
}

// problemsOf translates OPA's errors; those without a place are put at file.
func problemsOf(file string, err error) Problems {
	errs, many := errors.AsType[ast.Errors](err)
	if !many {
		one, ok := errors.AsType[*ast.Error](err)
		if !ok {
			return Problems{{file, err.Error()}}
		}
		errs = ast.Errors{one}
	}
	problems := make(Problems, 0, len(errs))
	for _, e := range errs {
		at, text := location(e.Location), e.Message
		if at == "" {
			at = file
		}
		if e.Details != nil {
			text = strings.Join(append([]string{text}, e.Details.Lines()...), "\n\t")
		}
		problems = append(problems, Problem{at, text})
	}
	return problems
}
