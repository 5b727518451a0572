package config_test

import (
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"

	"kubernaut.io/gateway"
	"kubernaut.io/gateway/config"
)

func docs(t *testing.T) string {
	t.Helper()
	raw, err := os.ReadFile("../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// keys adds what a field holds that has keys of its own, and what it holds if
// it has none, under its path.
func keys(v reflect.Value, path string, leaves map[string]any) {
	switch {
	case v.Kind() == reflect.Struct && v.NumField() > 0 && v.Type() != reflect.TypeFor[time.Time]():
		for i := range v.NumField() {
			key, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("yaml"), ",")
			keys(v.Field(i), strings.TrimPrefix(path+"."+key, "."), leaves)
		}
	case v.Kind() == reflect.Pointer && v.Type().Elem().NumField() > 0:
		element := reflect.New(v.Type().Elem()).Elem()
		switch path {
		case "sources[].auth[].hmac":
			element = reflect.ValueOf(config.DefaultHMAC())
		case "sources[].reconcile":
			element = reflect.ValueOf(config.DefaultReconcile())
		case "sources[].heartbeat":
			element = reflect.ValueOf(config.DefaultHeartbeat())
		}
		keys(element, path, leaves)
	case path == "sources":
		keys(reflect.ValueOf(config.Source{}), "sources[]", leaves)
		keys(reflect.ValueOf(config.Auth{}), "sources[].auth[]", leaves)
	case path == "events.minimum":
		keys(reflect.ValueOf(config.EventMinimum{}), "events.minimum[]", leaves)
	case path == "owners.kinds":
		keys(reflect.ValueOf(config.OwnerKind{}), "owners.kinds[]", leaves)
	case path == "silences.list":
		keys(reflect.ValueOf(config.Silence{}), "silences.list[]", leaves)
	case path == "silences.alertmanagers":
		keys(reflect.ValueOf(config.Alertmanager{}), "silences.alertmanagers[]", leaves)
	default:
		leaves[path] = v.Interface()
	}
}

func TestDocumentedDefaults(t *testing.T) {
	_, rest, found := strings.Cut(docs(t), "```yaml defaults\n")
	block, _, closed := strings.Cut(rest, "```")
	if !found || !closed {
		t.Fatal("there is no block of all defaults")
	}
	// The defaults are open to the network, which alone is wrong with them.
	c := mustParse(t, strings.Replace(block, `":8080"`, `"127.0.0.1:8080"`, 1))
	want := config.Default()
	want.Webhooks.Address = "127.0.0.1:8080"
	if got, want := dump(t, c), dump(t, want); got != want {
		t.Errorf("the block means\n%s\nthe defaults are\n%s", got, want)
	}

	var written, has yaml.Node
	if err := yaml.Unmarshal([]byte(block), &written); err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal([]byte(dump(t, want)), &has); err != nil {
		t.Fatal(err)
	}
	for _, path := range paths(has.Content[0], "") {
		if !slices.Contains(paths(written.Content[0], ""), path) {
			t.Errorf("the block lacks %s", path)
		}
	}
}

// paths returns the keys of mappings within mappings. Elements of lists are left
// out: the block need not repeat what a source may have.
func paths(n *yaml.Node, path string) []string {
	if n.Kind != yaml.MappingNode {
		return nil
	}
	var all []string
	for i := 0; i < len(n.Content); i += 2 {
		key := path + "." + n.Content[i].Value
		all = append(append(all, key), paths(n.Content[i+1], key)...)
	}
	return all
}

func TestDocumentedKeys(t *testing.T) {
	leaves := make(map[string]any)
	keys(reflect.ValueOf(*config.Default()), "", leaves)
	if len(leaves) < 60 {
		t.Fatalf("only %d keys found", len(leaves))
	}
	required := []string{"sources[].name", "sources[].format", "sources[].auth[].none", "events.minimum[].reason", "silences.list[].name", "silences.alertmanagers[].url"}

	documented := make(map[string]string)
	row := regexp.MustCompile("(?m)^\\| `([^`]+)` \\| (`([^`]*)`|required|absent) \\| (.+) \\|$")
	for _, m := range row.FindAllStringSubmatch(docs(t), -1) {
		if _, twice := documented[m[1]]; twice {
			t.Errorf("%s is documented twice", m[1])
		}
		documented[m[1]] = m[3]
	}
	for _, path := range slices.Sorted(maps.Keys(leaves)) {
		written, ok := documented[path]
		delete(documented, path)
		switch {
		case !ok:
			t.Errorf("%s is not documented", path)
		case slices.Contains(required, path):
		default:
			if got, want := meaning(t, written, leaves[path]), normal(t, leaves[path]); got != want {
				t.Errorf("the default of %s is documented as %s, and is %s", path, written, want)
			}
		}
	}
	for path := range documented {
		t.Errorf("%s is documented, and is no key", path)
	}
}

// meaning returns what the documented default comes to as a value of like's
// type, as normal writes it.
func meaning(t *testing.T, written string, like any) string {
	t.Helper()
	if _, ok := like.(time.Duration); ok {
		d, err := time.ParseDuration(written)
		if err != nil {
			t.Error(err)
		}
		return normal(t, d)
	}
	v := reflect.New(reflect.TypeOf(like))
	if err := yaml.Unmarshal([]byte(written), v.Interface()); err != nil {
		t.Error(err)
	}
	return normal(t, v.Elem().Interface())
}

func normal(t *testing.T, v any) string {
	t.Helper()
	out, err := yaml.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

func TestDocumentedTables(t *testing.T) {
	text := docs(t)
	m := gateway.DefaultMatrix()
	environments := []string{gateway.Production, gateway.Staging, gateway.Development, gateway.OtherEnvironment}
	for severity, row := range m.Priority {
		cells := []string{severity}
		for _, environment := range environments {
			cells = append(cells, string(row[environment]))
		}
		documented(t, text, cells)
	}
	for environment, row := range m.Path {
		cells := []string{environment}
		for _, priority := range gateway.Priorities {
			cells = append(cells, string(row[priority]))
		}
		documented(t, text, cells)
	}
	for alias, environment := range gateway.DefaultEnvironmentAliases() {
		if !regexp.MustCompile(alias + `\b[^|()]*\(` + environment + `\)`).MatchString(text) {
			t.Errorf("the alias %s of %s is not documented", alias, environment)
		}
	}
}

func documented(t *testing.T, text string, cells []string) {
	t.Helper()
	if line := "| " + strings.Join(cells, " | ") + " |\n"; !strings.Contains(text, line) {
		t.Errorf("no table has %s", line)
	}
}
