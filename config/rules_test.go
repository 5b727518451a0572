package config_test

import (
	"maps"
	"reflect"
	"slices"
	"testing"
	"time"

	"kubernaut.io/gateway"
	"kubernaut.io/gateway/config"
)

func TestDefaultRulesAreTheDomains(t *testing.T) {
	c := config.Default()
	if got, want := c.Tables(), gateway.DefaultMatrix(); !reflect.DeepEqual(got, want) {
		t.Errorf("tables are %v, want %v", got, want)
	}
	environments := c.EnvironmentRules()
	if got, want := environments.Aliases, gateway.DefaultEnvironmentAliases(); !maps.Equal(got, want) {
		t.Errorf("aliases are %v, want %v", got, want)
	}
	want := gateway.DedupRules{
		Mode: gateway.ModeEpisode, Window: 5 * time.Minute, EventWindow: 15 * time.Minute, StaleAfter: 24 * time.Hour,
		StuckAfter: 2 * time.Hour, Cooldown: 15 * time.Minute, LateFiring: 2 * time.Minute,
	}
	if got := c.DedupRules(); got != want {
		t.Errorf("dedup rules are %+v, want %+v", got, want)
	}
	storms := gateway.StormRules{
		Rate: gateway.Threshold{Count: 10, Window: time.Minute}, Pattern: gateway.Threshold{Count: 5, Window: 2 * time.Minute},
		Quiet: 6 * time.Minute, MaxDuration: time.Hour, MaxMembers: 5000,
	}
	if got := c.StormRules(); got != storms {
		t.Errorf("storm rules are %+v, want %+v", got, storms)
	}
}

func TestIdentityAndSuppression(t *testing.T) {
	c := mustParse(t, loopback+`
cluster: blue
fingerprint: {by: resource, equivalents: {PodCrashes: BackOff, KubePodNotReady: KubePodNotReady}}
severity: {aliases: {PAGE: Critical}}
suppress: {severities: [Info], signals: [Quiet]}
`)
	want := gateway.Identity{
		Cluster: "blue", Equivalents: gateway.DefaultEquivalents(), SeverityAliases: map[string]string{"page": "critical"},
	}
	want.Equivalents["PodCrashes"], want.Equivalents["KubePodNotReady"] = "BackOff", "KubePodNotReady"
	if got := c.Identity(); !reflect.DeepEqual(got, want) {
		t.Errorf("identity is %+v, want %+v", got, want)
	}
	if !config.Default().Identity().ByOwner {
		t.Error("the default goes by resource, want by owner")
	}
	suppression := gateway.Suppression{Severities: []string{"info"}, Names: []string{"Quiet"}}
	if got := c.Suppression(); !reflect.DeepEqual(got, suppression) {
		t.Errorf("suppression is %+v, want %+v", got, suppression)
	}
}

func TestTheGatewaysNamespaceIsGuarded(t *testing.T) {
	c := mustParse(t, loopback+"namespace: own\ncluster: blue\nguard: {namespaces: [other]}\n")
	guard := c.GuardRules()
	if !slices.Contains(guard.Namespaces, "own") || !slices.Contains(guard.Namespaces, "other") || guard.Cluster != "blue" {
		t.Errorf("the guard is %+v", guard)
	}
}

func TestEnvironmentRules(t *testing.T) {
	c := mustParse(t, loopback+`
environment:
  patterns: {a*: prod, abc*: QA, abd*: live}
  aliases: {prod: production, live: live, uat: staging}
  default: Stage
`)
	rules := c.EnvironmentRules()
	aliases := gateway.DefaultEnvironmentAliases()
	aliases["live"], aliases["uat"] = "live", gateway.Staging
	if !maps.Equal(rules.Aliases, aliases) {
		t.Errorf("aliases are %v, want %v", rules.Aliases, aliases)
	}
	patterns := []gateway.Pattern{{Glob: "abc*", Environment: "qa"}, {Glob: "abd*", Environment: "live"}, {Glob: "a*", Environment: "prod"}}
	if !slices.Equal(rules.Patterns, patterns) {
		t.Errorf("patterns are %v, want %v", rules.Patterns, patterns)
	}
	if rules.Default != "stage" {
		t.Errorf("the default is %q", rules.Default)
	}
}

func TestTables(t *testing.T) {
	c := mustParse(t, loopback+`
matrix:
  priority:
    critical: {staging: P0}
    "*": {development: P3}
    Fatal: {production: P0}
  path:
    other: {P1: manual}
    qa: {P0: aggressive}
    production: {P0: manual}
`)
	tables := c.Tables()
	for _, test := range []struct {
		name, severity, environment string
		priority                    gateway.Priority
		path                        gateway.Path
	}{
		{"a changed cell", "critical", "staging", gateway.P0, gateway.Moderate},
		{"its neighbour", "critical", "development", gateway.P2, gateway.Moderate},
		{"a changed cell of the row for others", "error", "development", gateway.P3, gateway.Manual},
		{"a new row", "fatal", "production", gateway.P0, gateway.Manual},
		{"a new row's other cells are those of the row for others", "fatal", "development", gateway.P3, gateway.Manual},
		{"a new environment", "critical", "qa", gateway.P1, gateway.Manual},
		{"an environment without a row", "critical", "lab", gateway.P1, gateway.Manual},
		{"an unknown one has its own", "critical", "unknown", gateway.P1, gateway.Manual},
	} {
		t.Run(test.name, func(t *testing.T) {
			priority, path := tables.Conclude(test.severity, test.environment)
			if priority != test.priority || path != test.path {
				t.Errorf("%s in %s is %s, %s, want %s, %s", test.severity, test.environment, priority, path, test.priority, test.path)
			}
		})
	}
	if tables.Path["qa"][gateway.P0] != gateway.Aggressive || tables.Path["qa"][gateway.P2] != gateway.Conservative {
		t.Errorf("the row of a new environment is %v", tables.Path["qa"])
	}
	if !reflect.DeepEqual(config.Default().Tables(), gateway.DefaultMatrix()) {
		t.Error("one file's cells have changed another's tables")
	}
}

func TestRateLimit(t *testing.T) {
	for limit, want := range map[config.RateLimit]struct {
		perSecond float64
		burst     int
	}{
		{}:                                {0, 0},
		{SignalsPerSecond: 0.2}:           {0.2, 1},
		{SignalsPerSecond: 10}:            {10, 10},
		{SignalsPerSecond: 10, Burst: 25}: {10, 25},
	} {
		if perSecond, burst := limit.Limit(); perSecond != want.perSecond || burst != want.burst {
			t.Errorf("%+v is %v a second and %d at once, want %+v", limit, perSecond, burst, want)
		}
	}
}
