package policy

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/open-policy-agent/opa/v1/rego"

	"kubernaut.io/gateway"
)

// TestInputMatchesItsSchema holds what is built against what is documented. The
// schema allows no field that it does not name, and requires all that it does.
func TestInputMatchesItsSchema(t *testing.T) {
	resource := gateway.Resource{APIVersion: "v1", Kind: "Pod", Namespace: "shop", Name: "cart-1"}
	at := time.Date(2026, 3, 2, 12, 5, 30, 0, time.UTC)
	inputs := map[string]*gateway.PolicyInput{
		"the least": {
			Signal: &gateway.Signal{Name: "A", Type: gateway.TypePrometheusAlert}, Attempt: 1, Time: at, Priority: gateway.P0, Path: gateway.Manual,
		},
		"the most": {
			Signal: &gateway.Signal{
				Name: "A", Severity: "critical", Source: "prometheus", Type: gateway.TypeKubernetesEvent, Cluster: "eu",
				Resource: resource, Owner: resource,
				Labels: map[string]string{"a": "b", "\xff": "\xff"}, Annotations: map[string]string{"a": "b"},
			},
			Environment: gateway.Environment{Name: "production"}, Priority: gateway.P3, Path: gateway.Aggressive, Attempt: 2, Time: at,
			Previous: &gateway.Request{Sequence: 1, Attempt: 1, Phase: "Completed", Path: gateway.Moderate, CompletedAt: at},
			Storm:    &gateway.StormInput{Group: gateway.Group{Kind: gateway.StormPattern, Cluster: "eu", Name: "A"}, Members: 7},
			Budget:   gateway.BudgetState{Owner: 1, Namespace: 2, Cluster: 3, Limits: gateway.BudgetLimits{Owner: 1, Namespace: 5, Cluster: 20}},
		},
		"a previous request that is not finished": {
			Signal: &gateway.Signal{Name: "A", Type: gateway.TypeGrafanaAlert}, Attempt: 1, Time: at, Priority: gateway.P0, Path: gateway.Manual,
			Previous: &gateway.Request{Sequence: 1},
		},
	}
	var schema any
	if err := json.Unmarshal(Schema(), &schema); err != nil {
		t.Fatal(err)
	}
	for name, in := range inputs {
		result, err := rego.New(rego.Query("json.match_schema(input, data.schema)"), rego.Data(map[string]any{"schema": schema}),
			rego.ParsedInput(inputOf(in, time.UTC))).Eval(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if answer, ok := result[0].Expressions[0].Value.([]any); !ok || answer[0] != true {
			t.Errorf("%s: %v", name, result[0].Expressions[0].Value)
		}
	}
}
