package config

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"reflect"

	"kubernaut.io/gateway"
)

// Identity returns how signals are given their identity and severity.
func (c *Config) Identity() gateway.Identity {
	return gateway.Identity{
		Cluster:         c.Cluster,
		ByOwner:         c.Fingerprint.By == ByOwner,
		Equivalents:     c.Fingerprint.equivalents(),
		SeverityAliases: plain(c.Severity.Aliases),
	}
}

// equivalents returns the default equivalents with those of the file over them.
func (f *Fingerprint) equivalents() map[string]string {
	merged := gateway.DefaultEquivalents()
	maps.Copy(merged, f.Equivalents)
	return merged
}

// Suppression returns which signals are not taken in.
func (c *Config) Suppression() gateway.Suppression {
	return gateway.Suppression{Severities: texts(c.Suppress.Severities), Names: c.Suppress.Signals}
}

// DedupRules returns when a firing signal is a duplicate.
func (c *Config) DedupRules() gateway.DedupRules {
	d := &c.Dedup
	return gateway.DedupRules{
		Mode: d.Mode, Window: d.Window, EventWindow: d.EventWindow, StaleAfter: d.StaleAfter,
		StuckAfter: d.StuckAfter, Cooldown: d.Cooldown, LateFiring: d.LateFiring,
	}
}

// StormRules returns when storms open and end.
func (c *Config) StormRules() gateway.StormRules {
	s := &c.Storm
	return gateway.StormRules{
		Rate:    gateway.Threshold{Count: s.Rate.Threshold, Window: s.Rate.Window},
		Pattern: gateway.Threshold{Count: s.Pattern.Threshold, Window: s.Pattern.Window},
		Quiet:   s.Quiet, MaxDuration: s.MaxDuration, MaxMembers: s.MaxMembers,
	}
}

// EnvironmentRules returns how environments are worked out, with the default
// aliases.
func (c *Config) EnvironmentRules() gateway.EnvironmentRules {
	e := &c.Environment
	return gateway.EnvironmentRules{
		NamespaceLabels: e.NamespaceLabels, SignalLabels: e.SignalLabels,
		Aliases:  plain(e.aliases()),
		Patterns: gateway.SortPatterns(plain(e.Patterns)),
		Default:  string(e.Default),
	}
}

// aliases returns the default aliases with those of the file over them.
func (e *Environment) aliases() map[Word]Word {
	merged := make(map[Word]Word)
	for alias, environment := range gateway.DefaultEnvironmentAliases() {
		merged[Word(alias)] = Word(environment)
	}
	maps.Copy(merged, e.Aliases)
	return merged
}

// Tables returns the default tables with the file's cells over them. A row that
// the default tables lack begins as a copy of the row for all others.
func (c *Config) Tables() gateway.Matrix {
	m := gateway.DefaultMatrix()
	overlay(m.Priority, c.Matrix.Priority, gateway.AnySeverity)
	overlay(m.Path, c.Matrix.Path, gateway.OtherEnvironment)
	return m
}

// overlay writes cells over a table whose row others stands for those that it
// does not have.
func overlay[TableKey, Key ~string, V any](table map[string]map[TableKey]V, cells map[Word]map[Key]V, others Word) {
	set := func(row Word) {
		for key, v := range cells[row] {
			table[string(row)][TableKey(key)] = v
		}
	}
	// This row first: new rows are copies of it.
	set(others)
	for row := range cells {
		if table[string(row)] == nil {
			table[string(row)] = maps.Clone(table[string(others)])
		}
		set(row)
	}
}

// GuardRules returns what no automation touches. The gateway's own namespace is
// always part of it.
func (c *Config) GuardRules() gateway.Guard {
	namespaces := append([]string{c.Namespace}, c.Guard.Namespaces...)
	return gateway.Guard{Namespaces: namespaces, Cluster: c.Cluster, Budget: gateway.BudgetLimits(c.Guard.Budget)}
}

// RetentionRules returns when requests are deleted.
func (c *Config) RetentionRules() gateway.RetentionRules {
	r := &c.Retention
	return gateway.RetentionRules{
		Finished: r.Finished, Failed: r.Failed, MaxRequests: r.MaxRequests, Dedup: c.DedupRules(), Storms: c.StormRules(),
	}
}

// Rules returns what may change while the gateway runs, but for the policy.
func (c *Config) Rules() gateway.Rules {
	return gateway.Rules{
		Suppression: c.Suppression(), Environment: c.EnvironmentRules(), Matrix: c.Tables(), Guard: c.GuardRules(),
		Revision: c.revision(),
	}
}

// Adopt returns c with what of next may be in force without a restart.
func (c *Config) Adopt(next *Config) *Config {
	adopted := *c
	adopted.Suppress, adopted.Environment, adopted.Matrix, adopted.Guard = next.Suppress, next.Environment, next.Matrix, next.Guard
	adopted.Silences.List, adopted.Policy, adopted.Shadow = next.Silences.List, next.Policy, next.Shadow
	// What is watched is set up once.
	adopted.Environment.ConfigMap, adopted.Environment.CacheTTL = c.Environment.ConfigMap, c.Environment.CacheTTL
	return &adopted
}

// RestartNeeded returns the top-level keys in which next differs from c and that
// are in force after a restart only.
func (c *Config) RestartNeeded(next *Config) []string {
	var keys []string
	adopted, wanted := reflect.ValueOf(c.Adopt(next)).Elem(), reflect.ValueOf(next).Elem()
	for i := range adopted.NumField() {
		if !reflect.DeepEqual(adopted.Field(i).Interface(), wanted.Field(i).Interface()) {
			keys = append(keys, adopted.Type().Field(i).Tag.Get("yaml"))
		}
	}
	return keys
}

// revision is the SHA-256, in hex, of what Rules are made of.
func (c *Config) revision() string {
	rules, err := json.Marshal([]any{c.Namespace, c.Cluster, c.Suppress, c.Environment, c.Matrix, c.Guard, c.Policy.TimeZone})
	if err != nil {
		panic(err) // maps, slices and texts
	}
	sum := sha256.Sum256(rules)
	return hex.EncodeToString(sum[:])
}

// plain returns words as the domain takes them.
func plain[K, V ~string](words map[K]V) map[string]string {
	out := make(map[string]string, len(words))
	for k, v := range words {
		out[string(k)] = string(v)
	}
	return out
}
