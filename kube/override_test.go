package kube

import (
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
)

// reloads is an observer that keeps what it was told.
type reloads []error

func (r *reloads) Reloaded(what string, err error) {
	if what != "overrides" {
		err = fmt.Errorf("%s: %w", what, err)
	}
	*r = append(*r, err)
}

// TestOverridesHoldWhileTheListIsBroken: the last good list stays in force, and
// what is wrong is said until it is mended.
func TestOverridesHoldWhileTheListIsBroken(t *testing.T) {
	var told reloads
	n, err := NewNamespaces(NamespacesOptions{
		REST: &rest.Config{Host: "http://api.invalid"}, Namespace: "x", ConfigMap: "o", CacheTTL: time.Second,
		Reloads: &told, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	const good, broken = "- {namespace: 'team-*', environment: staging}", "- {namespace: team-a"
	version := 0
	steps := []struct {
		name, list, plain string
		// team and shop are the environments of team-a and shop then.
		team, shop string
		problem    string
	}{
		{"broken from the start", broken, "production", "", "production", "ConfigMap x/o: overrides.yaml: the 0 rules before it stay in force"},
		{"mended", good, "production", "staging", "production", ""},
		{"broken again", broken, "development", "staging", "development", "the 1 rules before it stay in force"},
		{"no list at all", "team-a: production", "development", "staging", "development", "the 1 rules before it stay in force"},
		{"one bad entry", good + "\n- {namespace: shop}", "development", "staging", "development", "overrides.yaml[1]: environment: missing"},
		{"emptied", "", "development", "", "development", ""},
	}
	for _, step := range steps {
		version++
		m := &corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Namespace: "x", Name: "o", ResourceVersion: strconv.Itoa(version)},
			Data:       map[string]string{overridesKey: step.list, "shop": step.plain},
		}
		n.load(m)
		n.load(m) // a watch that begins anew tells it again
		team, _, _ := n.Override("team-a")
		shop, _, _ := n.Override("shop")
		if team != step.team || shop != step.shop {
			t.Errorf("%s: %q and %q, want %q and %q", step.name, team, shop, step.team, step.shop)
		}
		problems := strings.Join(n.Problems(), "\n")
		if step.problem == "" && problems != "" || !strings.Contains(problems, step.problem) {
			t.Errorf("%s: problems %q, want %q", step.name, problems, step.problem)
		}
		if len(told) != version || (told[version-1] != nil) != (step.problem != "") {
			t.Fatalf("%s: told %v", step.name, told)
		}
	}
	n.load(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{ResourceVersion: "100"}, Data: map[string]string{overridesKey: broken}})
	n.unload(nil)
	if len(n.Problems()) != 0 || told[len(told)-1] != nil {
		t.Errorf("problems of one that was deleted: %q, %v", n.Problems(), told)
	}
}
