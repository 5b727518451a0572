package gateway_test

import (
	"fmt"
	"net/http"
	"os"
	"reflect"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kubernaut.io/gateway/api/v1alpha1"
	"kubernaut.io/gateway/test/harness"
)

// table returns a gateway's requests as kubectl get shows them: a row of cells
// by the column's name for each.
func table(t *testing.T, g *harness.Gateway) []map[string]any {
	t.Helper()
	var got metav1.Table
	path := fmt.Sprintf("/apis/%s/namespaces/%s/%s", v1alpha1.GroupVersion, g.Namespace, v1alpha1.Resource)
	err := shared.Core.Discovery().RESTClient().Get().AbsPath(path).
		SetHeader("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io").Do(t.Context()).Into(&got)
	if err != nil {
		t.Fatal(err)
	}
	columns := make([]string, len(got.ColumnDefinitions))
	for i, c := range got.ColumnDefinitions {
		columns[i] = c.Name
	}
	want := []string{"Name", "Signal", "Target", "Env", "Priority", "Path", "Count", "State", "Phase", "Age"}
	if !reflect.DeepEqual(columns, want) {
		t.Fatalf("columns %v, want %v", columns, want)
	}
	rows := make([]map[string]any, len(got.Rows))
	for i, r := range got.Rows {
		rows[i] = make(map[string]any)
		for n, cell := range r.Cells {
			rows[i][columns[n]] = cell
		}
	}
	return rows
}

// TestREADME posts what the README's curl line posts, and looks at what its
// kubectl line shows.
func TestREADME(t *testing.T) {
	t.Parallel()
	body, err := os.ReadFile("../../fixtures/prometheus-alert.json")
	if err != nil {
		t.Fatal(err)
	}
	g := shared.Start(t)
	a := g.Post(t, "prometheus", body)
	answered(t, a, http.StatusCreated)
	became(t, only(t, a), "created", "new episode")
	name := only(t, a).RemediationRequest.Name
	row := func() map[string]any {
		rows := table(t, g)
		if len(rows) != 1 {
			t.Fatalf("%d rows, want 1: %v", len(rows), rows)
		}
		if age, ok := rows[0]["Age"].(string); !ok || age == "" || age == "<unknown>" {
			t.Errorf("Age %v", rows[0]["Age"])
		}
		delete(rows[0], "Age")
		return rows[0]
	}
	want := map[string]any{
		"Name": name, "Signal": "KubePodCrashLooping", "Target": "checkout-7d9c5b8f6d-x2x7k", "Env": "unknown",
		"Priority": "P2", "Path": "manual", "Count": nil, "State": "", "Phase": "",
	}
	if got := row(); !sameCells(got, want) {
		t.Errorf("row %v, want %v", got, want)
	}
	answered(t, g.Post(t, "prometheus", body), http.StatusAccepted)
	g.PatchStatus(t, name, `{"overallPhase":"Processing"}`)
	want["Count"], want["State"], want["Phase"] = int64(2), "Firing", "Processing"
	harness.Eventually(t, "the count in its column", func() bool { return sameCells(row(), want) })
}

// sameCells compares rows; an empty cell is null or empty.
func sameCells(got, want map[string]any) bool {
	for column, cell := range want {
		g := got[column]
		if n, ok := g.(float64); ok {
			g = int64(n)
		}
		empty := (g == nil || g == "") && (cell == nil || cell == "")
		if !empty && g != cell {
			return false
		}
	}
	return len(got) == len(want)
}

func TestSelectableFields(t *testing.T) {
	t.Parallel()
	g := shared.Start(t)
	mustNamespace(t, "select-production", "environment", "production")
	mustNamespace(t, "select-staging", "environment", "staging")
	a := g.Post(t, "prometheus", harness.Webhook(
		harness.Firing("Select", "select-production", "app"), harness.Firing("Select", "select-staging", "app", "severity", "info"),
	))
	answered(t, a, http.StatusCreated)
	names := [2]string{a.Signals[0].RemediationRequest.Name, a.Signals[1].RemediationRequest.Name}
	for i, values := range [2]map[string]string{
		{"signalFingerprint": a.Signals[0].Fingerprint, "priority": "P0", "environment": "production", "severity": "critical", "remediationPath": "conservative"},
		{"signalFingerprint": a.Signals[1].Fingerprint, "priority": "P2", "environment": "staging", "severity": "info", "remediationPath": "manual"},
	} {
		for field, value := range values {
			list, err := g.Requests().List(t.Context(), metav1.ListOptions{FieldSelector: "spec." + field + "=" + value})
			if err != nil {
				t.Fatal(err)
			}
			if len(list.Items) != 1 || list.Items[0].GetName() != names[i] {
				t.Errorf("spec.%s=%s selects %d requests, want %s alone", field, value, len(list.Items), names[i])
			}
		}
	}
	list, err := g.Requests().List(t.Context(), metav1.ListOptions{FieldSelector: "spec.priority=P3"})
	if err != nil || len(list.Items) != 0 {
		t.Errorf("%v, %d requests of P3", err, len(list.Items))
	}
}
