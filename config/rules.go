package config

import (
	"maps"
	"math"

	"kubernaut.io/gateway"
)

// Identity returns how signals are given their identity and severity.
func (c *Config) Identity() gateway.Identity {
	return gateway.Identity{
		Cluster:         c.Cluster,
		ByOwner:         c.Fingerprint.By == ByOwner,
		SeverityAliases: plain(c.Severity.Aliases),
	}
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
	return gateway.Guard{Namespaces: namespaces, Cluster: c.Cluster}
}

// Limit returns how many signals a source may send in a second, 0 for any
// number, and how many at once.
func (l RateLimit) Limit() (perSecond float64, burst int) {
	if l.Burst == 0 {
		return l.SignalsPerSecond, int(math.Ceil(l.SignalsPerSecond))
	}
	return l.SignalsPerSecond, l.Burst
}

// plain returns words as the domain takes them.
func plain[K, V ~string](words map[K]V) map[string]string {
	out := make(map[string]string, len(words))
	for k, v := range words {
		out[string(k)] = string(v)
	}
	return out
}
