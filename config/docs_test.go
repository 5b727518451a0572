package config_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

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
