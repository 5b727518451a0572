package explain

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	gateway "kubernaut.io/gateway"
)

// constants returns the values of the constants of a type in the root package.
func constants(t *testing.T, of string) []string {
	t.Helper()
	var values []string
	for _, d := range parse(t, "../decision.go").Decls {
		g, ok := d.(*ast.GenDecl)
		if !ok || g.Tok != token.CONST {
			continue
		}
		for _, spec := range g.Specs {
			v := spec.(*ast.ValueSpec)
			if name, ok := v.Type.(*ast.Ident); !ok || name.Name != of {
				continue
			}
			value, err := strconv.Unquote(v.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			values = append(values, value)
		}
	}
	slices.Sort(values)
	return values
}

func parse(t *testing.T, file string) *ast.File {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestEveryReasonHasAMeaning(t *testing.T) {
	reasons := constants(t, "Reason")
	if len(reasons) < 40 {
		t.Fatalf("found %d reasons only", len(reasons))
	}
	for _, r := range reasons {
		text, ok := Meaning(gateway.Reason(r))
		if !ok || !strings.HasSuffix(text, ".") {
			t.Errorf("%q means %q", r, text)
		}
	}
	told := slices.Sorted(maps.Keys(meanings))
	if !slices.Equal(told, asReasons(reasons)) {
		t.Errorf("meanings are of\n%q\nand there are\n%q", told, reasons)
	}
	if _, ok := Meaning("no reason"); ok {
		t.Error("what is no reason has a meaning")
	}
}

func asReasons(texts []string) []gateway.Reason {
	reasons := make([]gateway.Reason, len(texts))
	for i, text := range texts {
		reasons[i] = gateway.Reason(text)
	}
	return reasons
}

func TestEveryOutcomeHasAMeaning(t *testing.T) {
	outcomes := constants(t, "Outcome")
	if len(outcomes) != len(gateway.Outcomes) {
		t.Fatalf("found %d outcomes, there are %d", len(outcomes), len(gateway.Outcomes))
	}
	for _, o := range outcomes {
		if text, ok := OutcomeMeaning(gateway.Outcome(o)); !ok || text == "" {
			t.Errorf("%q has no meaning", o)
		}
	}
	if _, ok := OutcomeMeaning("no outcome"); ok {
		t.Error("what is no outcome has a meaning")
	}
}

var keys = regexp.MustCompile(`\b[a-z]+(\.[a-z][a-zA-Z]+)+\b`)

// The configuration has each key that is named to people.
func TestNamedKeysAreThere(t *testing.T) {
	doc, err := os.ReadFile("../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	named := make(map[string]bool)
	for _, text := range meanings {
		for _, key := range keys.FindAllString(text, -1) {
			named[key] = true
		}
	}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	sections := regexp.MustCompile(`\b(dedup|storm|guard|environment|suppress|spool|policy|matrix|fingerprint|silences)(\.[a-z][a-zA-Z]+)+\b`)
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		for value := range texts(parse(t, file)) {
			for _, key := range sections.FindAllString(value, -1) {
				named[key] = true
			}
		}
	}
	if len(named) < 20 {
		t.Fatalf("found %d keys only", len(named))
	}
	for _, key := range slices.Sorted(maps.Keys(named)) {
		if key == "status.deduplication.alerts" || key == "kubernaut.io" { // no keys
			continue
		}
		for part := range strings.SplitSeq(key, ".") {
			if !regexp.MustCompile(`\b` + part + `\b`).Match(doc) {
				t.Errorf("there is no key %s", key)
			}
		}
	}
}

// texts are the string literals of a file.
func texts(f *ast.File) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		ast.Inspect(f, func(n ast.Node) bool {
			l, ok := n.(*ast.BasicLit)
			if !ok || l.Kind != token.STRING {
				return true
			}
			value, err := strconv.Unquote(l.Value)
			return err == nil && yield(value)
		})
	}
}

// The labels that name an object are in the order of the adapter, which is the
// one that decides.
func TestOrderOfLabels(t *testing.T) {
	var order []string
	ast.Inspect(parse(t, "../adapter/resource.go"), func(n ast.Node) bool {
		v, ok := n.(*ast.ValueSpec)
		if !ok || v.Names[0].Name != "candidates" {
			return true
		}
		for _, e := range v.Values[0].(*ast.CompositeLit).Elts {
			for _, field := range e.(*ast.CompositeLit).Elts {
				kv := field.(*ast.KeyValueExpr)
				if l, ok := kv.Value.(*ast.BasicLit); ok && kv.Key.(*ast.Ident).Name == "kind" {
					kind, err := strconv.Unquote(l.Value)
					if err != nil {
						t.Fatal(err)
					}
					order = append(order, kind)
				}
			}
		}
		return false
	})
	order = append(order, "Namespace")
	kinds := make([]string, len(candidates))
	for i, c := range candidates {
		kinds[i] = c.kind
	}
	if !slices.Equal(kinds, order) {
		t.Errorf("kinds are %q, the adapter's %q", kinds, order)
	}
}
