package policy

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

//go:embed input.schema.json
var schemaText []byte

// Schema returns the JSON Schema of the document that policies see as input.
func Schema() []byte { return slices.Clone(schemaText) }

// schemaNode is a part of the schema, as far as it names fields.
type schemaNode struct {
	Properties map[string]*schemaNode `json:"properties"`
}

var inputFields = func() *schemaNode {
	root := &schemaNode{}
	if err := json.Unmarshal(schemaText, root); err != nil {
		panic("policy: input.schema.json: " + err.Error())
	}
	return root
}()

// inputSchema returns the schema for OPA's type checker. What may be null is
// opened to any type there: the checker takes such a type for the object alone,
// and would refuse a comparison with null. checkRefs looks into those.
func inputSchema() *ast.SchemaSet {
	var raw map[string]any
	if err := json.Unmarshal(schemaText, &raw); err != nil {
		panic("policy: input.schema.json: " + err.Error())
	}
	properties := raw["properties"].(map[string]any)
	for name, property := range properties {
		if types, ok := property.(map[string]any)["type"].([]any); ok && slices.Contains(types, any("null")) {
			properties[name] = map[string]any{}
		}
	}
	set := ast.NewSchemaSet()
	set.Put(ast.SchemaRootRef, raw)
	return set
}

// checkRefs returns a problem for each reference to a field that the input does
// not have. The type checker finds more, such as those through a variable.
func checkRefs(m *ast.Module) Problems {
	var found Problems
	ast.WalkRefs(m, func(r ast.Ref) bool {
		if problem := checkRef(r); problem != "" {
			found = append(found, Problem{location(r[0].Location), problem})
		}
		return false
	})
	return found
}

func checkRef(r ast.Ref) string {
	if !r[0].Equal(ast.InputRootDocument) {
		return ""
	}
	node := inputFields
	for i, part := range r[1:] {
		field, ok := part.Value.(ast.String)
		if !ok || node.Properties == nil {
			return ""
		}
		inside, known := node.Properties[string(field)]
		if !known {
			return fmt.Sprintf("%s: %s has no such field; it has %s", r[:i+2], r[:i+1],
				strings.Join(slices.Sorted(maps.Keys(node.Properties)), ", "))
		}
		node = inside
	}
	return ""
}
