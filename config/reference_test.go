package config

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"
)

var update = flag.Bool("update", false, "write the tables of docs/configuration.md anew")

const referenceFile = "../docs/configuration.md"

// alike are lists whose elements have the keys of another list, under which they
// are documented.
var alike = map[string]string{"admin.auth": "sources[].auth"}

// key is a row of the reference.
type key struct {
	path, kind, value, meaning string
}

// reader collects keys and what is wrong with their docstrings.
type reader struct {
	docs     map[string]docstring
	keys     []key
	problems []string
}

// docstring is what stands over a field, and where.
type docstring struct {
	position token.Position
	text     string
}

// TestReference holds the tables of docs/configuration.md against the structs:
// their keys, their docstrings, and what Default says. With -update it writes
// the tables.
func TestReference(t *testing.T) {
	r := reader{docs: docstrings(t)}
	r.read(reflect.ValueOf(*Default()), "")
	for _, problem := range r.problems {
		t.Error(problem)
	}
	raw, err := os.ReadFile(referenceFile)
	if err != nil {
		t.Fatal(err)
	}
	text, err := fill(string(raw), r.keys)
	switch {
	case err != nil:
		t.Fatal(err)
	case t.Failed() || text == string(raw):
	case !*update:
		t.Errorf("%s is not what the docstrings of package config say; run make generate", referenceFile)
	default:
		if err := os.WriteFile(referenceFile, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// docstrings returns what stands over the fields of this package's structs, by
// TYPE.FIELD.
func docstrings(t *testing.T) map[string]docstring {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string]docstring)
	positions := token.NewFileSet()
	for _, name := range files {
		file, err := parser.ParseFile(positions, name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			declared, ok := n.(*ast.TypeSpec)
			if !ok {
				return true
			}
			if fields, ok := declared.Type.(*ast.StructType); ok {
				for _, field := range fields.Fields.List {
					for _, name := range field.Names {
						found[declared.Name.Name+"."+name.Name] = docstring{positions.Position(field.Pos()), field.Doc.Text()}
					}
				}
			}
			return true
		})
	}
	return found
}

// read adds the keys of a struct, and of those in it.
func (r *reader) read(v reflect.Value, path string) {
	for i := range v.NumField() {
		field := v.Type().Field(i)
		name, _, _ := strings.Cut(field.Tag.Get("yaml"), ",")
		at := strings.TrimPrefix(path+"."+name, ".")
		if inner, ok := keysIn(v.Field(i)); ok {
			r.read(inner, at)
			continue
		}
		r.add(v.Type().Name()+"."+field.Name, field.Name, at, v.Field(i))
		if element, ok := elementOf(field.Type); ok && alike[at] == "" {
			r.read(element, at+"[]")
		}
	}
}

// keysIn returns what has keys of its own: a struct, or what a pointer to one
// means where the file gives none of its keys.
func keysIn(v reflect.Value) (reflect.Value, bool) {
	switch {
	case v.Kind() == reflect.Struct && v.Type() != reflect.TypeFor[time.Time]():
		return v, true
	case v.Kind() == reflect.Pointer && v.Type().Elem().Kind() == reflect.Struct && v.Type().Elem().NumField() > 0:
		return defaulted(v.Type().Elem()), true
	default:
		return v, false
	}
}

// elementOf returns an element of a list whose elements have keys.
func elementOf(t reflect.Type) (reflect.Value, bool) {
	if t.Kind() != reflect.Slice || t.Elem().Kind() != reflect.Struct {
		return reflect.Value{}, false
	}
	return defaulted(t.Elem()), true
}

// defaulted returns a value as the file's reader makes it.
func defaulted(t reflect.Type) reflect.Value {
	v := reflect.New(t)
	if d, ok := v.Interface().(interface{ setDefaults() }); ok {
		d.setDefaults()
	}
	return v.Elem()
}

// required is how docstrings tell that a key has to be there.
const required = "Required."

// add adds the key of a field with its docstring, less the field's name.
func (r *reader) add(id, field, path string, v reflect.Value) {
	doc := r.docs[id]
	text := strings.Join(strings.Fields(doc.text), " ")
	if text == "" {
		r.problems = append(r.problems, fmt.Sprintf("%s: %s has no docstring; it is what docs/configuration.md will say of %s", doc.position, id, path))
		return
	}
	value := literal(v)
	if less, ok := strings.CutPrefix(text, required+" "); ok {
		text, value = less, "required"
	}
	for _, prefix := range []string{field + " is ", field + " are ", field + " "} {
		if less, ok := strings.CutPrefix(text, prefix); ok {
			text = less
			break
		}
	}
	r.keys = append(r.keys, key{path, kind(v.Type()), value, linked(strings.TrimSuffix(text, "."))})
}

// page is how docstrings name a page of the documentation, and a part of it.
var page = regexp.MustCompile(`docs/([a-z-]+)\.md(#[a-z-]+)?`)

// linked makes links of the pages that a docstring names, and lets it stand in a
// table.
func linked(text string) string {
	text = page.ReplaceAllString(text, "[$1]($1.md$2)")
	return strings.ReplaceAll(text, "|", `\|`)
}

// kind returns what is written as a value of the type.
func kind(t reflect.Type) string {
	switch {
	case t == reflect.TypeFor[time.Duration]():
		return "duration"
	case t == reflect.TypeFor[time.Time]():
		return "time"
	case t.Kind() == reflect.Bool:
		return "true or false"
	case t.Kind() == reflect.String:
		return "text"
	case t.Kind() == reflect.Float64:
		return "number"
	case t.Kind() == reflect.Int || t.Kind() == reflect.Int64:
		return "whole number"
	case t.Kind() == reflect.Slice:
		return "list"
	default:
		return "mapping"
	}
}

// bare is a text that YAML needs no quotes for.
var bare = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9-]*$`)

// literal returns a value as the file would have it.
func literal(v reflect.Value) string {
	switch value := v.Interface().(type) {
	case time.Duration:
		return "`" + shortest(value) + "`"
	case time.Time:
		return "absent"
	}
	switch v.Kind() {
	case reflect.Pointer:
		return "absent"
	case reflect.String:
		if bare.MatchString(v.String()) {
			return "`" + v.String() + "`"
		}
		return "`" + strconv.Quote(v.String()) + "`"
	case reflect.Slice:
		if v.Len() > 0 && v.Index(0).Kind() == reflect.Struct {
			return "[above](#all-keys-with-their-defaults)"
		}
		texts := make([]string, v.Len())
		for i := range texts {
			texts[i] = strings.Trim(literal(v.Index(i)), "`")
		}
		return "`[" + strings.Join(texts, ", ") + "]`"
	case reflect.Map:
		if v.Len() == 0 {
			return "`{}`"
		}
	}
	out, err := yaml.Marshal(v.Interface())
	if err != nil {
		panic(err)
	}
	return "`" + strings.TrimSpace(string(out)) + "`"
}

// shortest returns a duration without the zeros that time.Duration writes.
func shortest(d time.Duration) string {
	s := d.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(s, zero) {
			s = s[:len(s)-2]
		}
	}
	return s
}

// table is a place for the keys that it names, and those below them.
var table = regexp.MustCompile(`(?s)<!-- keys: ([^>]+) -->\n.*?<!-- end of keys -->\n`)

// fill puts the keys into the tables of a text. A key without a table, and a
// name in a table without a key, are errors.
func fill(text string, keys []key) (string, error) {
	left := make(map[string]bool)
	for _, k := range keys {
		left[k.path] = true
	}
	var unknown []string
	text = table.ReplaceAllStringFunc(text, func(old string) string {
		names := table.FindStringSubmatch(old)[1]
		var b strings.Builder
		fmt.Fprintf(&b, "<!-- keys: %s -->\n| key | value | default | meaning |\n| --- | --- | --- | --- |\n", names)
		for name := range strings.SplitSeq(names, ", ") {
			found := false
			for _, k := range keys {
				if k.path != name && !strings.HasPrefix(k.path, name+".") && !strings.HasPrefix(k.path, name+"[].") {
					continue
				}
				found = true
				delete(left, k.path)
				fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", k.path, k.kind, k.value, k.meaning)
			}
			if !found {
				unknown = append(unknown, name)
			}
		}
		b.WriteString("<!-- end of keys -->\n")
		return b.String()
	})
	if len(unknown) > 0 {
		return "", fmt.Errorf("%s: a table names %s, which is no key", referenceFile, strings.Join(unknown, ", "))
	}
	if len(left) > 0 {
		return "", fmt.Errorf("%s: no table holds %s; name them, or what they are in, in the comment over one (<!-- keys: ... -->)",
			referenceFile, strings.Join(slices.Sorted(maps.Keys(left)), ", "))
	}
	return text, nil
}

func TestFill(t *testing.T) {
	keys := []key{{"a.b", "text", "`c`", "d"}, {"e[].f", "text", "required", "g"}}
	const frame = "before\n<!-- keys: %s -->\nold\n<!-- end of keys -->\nafter\n"
	text, err := fill(fmt.Sprintf(frame, "a, e"), keys)
	want := "before\n<!-- keys: a, e -->\n| key | value | default | meaning |\n| --- | --- | --- | --- |\n" +
		"| `a.b` | text | `c` | d |\n| `e[].f` | text | required | g |\n<!-- end of keys -->\nafter\n"
	if err != nil || text != want {
		t.Errorf("%s, %v", text, err)
	}
	for names, want := range map[string]string{"a": "no table holds e[].f", "a, e, x": "names x, which is no key"} {
		if _, err := fill(fmt.Sprintf(frame, names), keys); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", names, err)
		}
	}
}
