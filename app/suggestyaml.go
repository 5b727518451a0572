package app

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"kubernaut.io/gateway/config"
	"kubernaut.io/gateway/replay"
)

// suggestedSilence is for how long after the recording a suggested silence holds:
// silences need an end.
const suggestedSilence = 30 * 24 * time.Hour

// change returns the configuration that is to be improved with candidates in it.
func (s *suggesting) change(candidates ...replay.Candidate) (*config.Config, error) {
	c, err := config.FromRecorded(s.base.Recorded())
	if err != nil {
		return nil, err
	}
	for i := range candidates {
		s.apply(c, &candidates[i])
	}
	return c, nil
}

// apply writes a candidate into a configuration.
func (s *suggesting) apply(c *config.Config, a *replay.Candidate) {
	switch a.Setting {
	case replay.SettingRate:
		c.Storm.Rate.Threshold = a.Count
	case replay.SettingPattern:
		c.Storm.Pattern.Threshold = a.Count
	case replay.SettingWindow:
		c.Dedup.Window = a.Duration
	case replay.SettingCooldown:
		c.Dedup.Cooldown = a.Duration
	case replay.SettingStaleAfter:
		c.Dedup.StaleAfter = a.Duration
	case replay.SettingEventWindow:
		c.Dedup.EventWindow = a.Duration
	case replay.SettingSuppress:
		c.Suppress.Signals = append(c.Suppress.Signals, a.Name)
	case replay.SettingSilence:
		c.Silences.List = append(c.Silences.List, s.silence(c, a))
	case replay.SettingEnvironment:
		c.Environment.Patterns = maps.Clone(c.Environment.Patterns)
		if c.Environment.Patterns == nil {
			c.Environment.Patterns = make(map[string]config.Word)
		}
		for _, namespace := range a.Namespaces {
			c.Environment.Patterns[namespace] = config.Word(a.Environment)
		}
	}
}

// silence returns the one that a candidate stands for, under a name that no other
// has.
func (s *suggesting) silence(c *config.Config, a *replay.Candidate) config.Silence {
	label := "alertname"
	if a.Event {
		label = "reason"
	}
	name := ""
	for n := 1; name == "" || slices.ContainsFunc(c.Silences.List, func(s config.Silence) bool { return s.Name == name }); n++ {
		name = fmt.Sprintf("suggested-%d", n)
	}
	return config.Silence{
		Name: name, Matchers: []string{fmt.Sprintf("%s=%q", label, a.Name)}, Namespaces: []string{a.Namespace},
		EndsAt: s.last.Add(suggestedSilence).UTC().Truncate(24 * time.Hour), Comment: "never automatic here",
	}
}

// yamlOf writes settings as the configuration has them.
func yamlOf(c *config.Config, settings ...replay.Setting) (string, error) {
	root := make(map[string]any)
	for _, setting := range settings {
		path := strings.Split(string(setting), ".")
		at := root
		for _, key := range path[:len(path)-1] {
			if at[key] == nil {
				at[key] = make(map[string]any)
			}
			at, _ = at[key].(map[string]any)
		}
		at[path[len(path)-1]] = valueOf(c, setting)
	}
	var text strings.Builder
	encoder := yaml.NewEncoder(&text)
	encoder.SetIndent(2)
	err := errors.Join(encoder.Encode(root), encoder.Close())
	return text.String(), err
}

// valueOf returns what a configuration has for a setting, as YAML takes it.
func valueOf(c *config.Config, setting replay.Setting) any {
	switch setting {
	case replay.SettingRate:
		return c.Storm.Rate.Threshold
	case replay.SettingPattern:
		return c.Storm.Pattern.Threshold
	case replay.SettingWindow:
		return durationOf(c.Dedup.Window)
	case replay.SettingCooldown:
		return durationOf(c.Dedup.Cooldown)
	case replay.SettingStaleAfter:
		return durationOf(c.Dedup.StaleAfter)
	case replay.SettingEventWindow:
		return durationOf(c.Dedup.EventWindow)
	case replay.SettingSuppress:
		return c.Suppress.Signals
	case replay.SettingEnvironment:
		return c.Environment.Patterns
	default:
		list := make([]map[string]any, len(c.Silences.List))
		for i := range c.Silences.List {
			list[i] = silenceOf(&c.Silences.List[i])
		}
		return list
	}
}

// durationOf writes a duration as people do, without what is zero at its end.
func durationOf(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// silenceOf returns a silence with the keys that it has.
func silenceOf(s *config.Silence) map[string]any {
	m := map[string]any{"name": s.Name}
	for key, texts := range map[string][]string{"matchers": s.Matchers, "namespaces": s.Namespaces, "sources": s.Sources} {
		if len(texts) > 0 {
			m[key] = texts
		}
	}
	for key, at := range map[string]time.Time{"startsAt": s.StartsAt, "endsAt": s.EndsAt} {
		if !at.IsZero() {
			m[key] = at.Format(time.RFC3339Nano)
		}
	}
	for key, text := range map[string]string{"comment": s.Comment, "createdBy": s.CreatedBy} {
		if text != "" {
			m[key] = text
		}
	}
	if w := s.Window; w != (config.SilenceWindow{}) {
		window := map[string]any{"cron": w.Cron, "duration": durationOf(w.Duration)}
		if w.TimeZone != "" {
			window["timeZone"] = w.TimeZone
		}
		m["window"] = window
	}
	return m
}
