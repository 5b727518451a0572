package gateway

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"time"
)

// Silences are what people do not want to hear of for a while. They are safe
// for concurrent use, and asked for every signal.
type Silences interface {
	// Silenced returns the ID of a silence that holds for s at the given time,
	// and whether there is one.
	Silenced(s *Signal, at time.Time) (id string, silenced bool)
}

// Silence is what people write of a silence: which signals, and when. Of
// Matchers, Namespaces and Sources all that are given have to match.
type Silence struct {
	// Name tells it from others of the same place.
	Name string
	// Matchers are in Alertmanager's syntax, one each; all have to match.
	Matchers []string
	// Namespaces are globs over the namespace of the signal's resource, and
	// Sources the names of sources; of each list one has to match.
	Namespaces []string
	Sources    []string
	// StartsAt is zero where it holds from ever. It holds no more at EndsAt.
	StartsAt, EndsAt time.Time
	// Window is when a silence holds that comes again and again; it has no
	// StartsAt and EndsAt then.
	Window SilenceWindow
	// Comment and CreatedBy are for people.
	Comment, CreatedBy string
}

// SilenceWindow is a time that comes again. The zero SilenceWindow is none.
type SilenceWindow struct {
	// Cron has five fields and says when it begins, by the clocks of TimeZone,
	// an IANA name; UTC where that is empty.
	Cron     string
	TimeZone string
	Duration time.Duration
}

// maxSilenceWindow is the longest window of maintenance. One that is longer than
// a day holds nearly always, and that is no maintenance.
const maxSilenceWindow = 24 * time.Hour

// SilenceProblem is what is wrong with a part of a silence.
type SilenceProblem struct {
	// Field is the key that people write, such as window.cron.
	Field   string
	Message string
}

// Check returns what is wrong with s, given the names of all sources. What
// matchers and cron expressions mean is left to whoever reads them.
func (s *Silence) Check(sources []string) []SilenceProblem {
	var c silenceCheck
	if !IsDNSLabel(s.Name) {
		c.problem("name", "%q is not a name; use at most 63 lower-case letters, digits and dashes, no dash at the ends", s.Name)
	}
	if len(s.Matchers)+len(s.Namespaces)+len(s.Sources) == 0 {
		c.problem("matchers", "nothing says what is silenced; write matchers, namespaces or sources")
	}
	for i, glob := range s.Namespaces {
		if _, err := path.Match(glob, ""); err != nil || glob == "" {
			c.problem(fmt.Sprintf("namespaces[%d]", i), "%q is not a pattern; write one such as shop or team-*", glob)
		}
	}
	for i, source := range s.Sources {
		if !slices.Contains(sources, source) {
			c.problem(fmt.Sprintf("sources[%d]", i), "there is no source %q; those that there are: %s", source, strings.Join(sources, ", "))
		}
	}
	if s.Window == (SilenceWindow{}) {
		c.times(s)
		return c.problems
	}
	if !s.StartsAt.IsZero() || !s.EndsAt.IsZero() {
		c.problem("window", "a window comes again and has no startsAt and endsAt; write either the one or the other")
	}
	c.window(s.Window)
	return c.problems
}

type silenceCheck struct{ problems []SilenceProblem }

func (c *silenceCheck) problem(field, format string, args ...any) {
	c.problems = append(c.problems, SilenceProblem{Field: field, Message: fmt.Sprintf(format, args...)})
}

func (c *silenceCheck) times(s *Silence) {
	switch {
	case s.EndsAt.IsZero():
		c.problem("endsAt", "a silence needs an end; write endsAt: 2030-01-31T18:00:00Z, or a window for maintenance that comes again")
	case !s.EndsAt.After(s.StartsAt):
		c.problem("endsAt", "%s is not after startsAt, %s", s.EndsAt.Format(time.RFC3339), s.StartsAt.Format(time.RFC3339))
	}
}

func (c *silenceCheck) window(w SilenceWindow) {
	if w.Cron == "" {
		c.problem("window.cron", `this is missing; write when the window begins, as "0 2 * * 0"`)
	}
	if w.Duration <= 0 || w.Duration > maxSilenceWindow {
		c.problem("window.duration", "%v is not more than 0 and at most %v", w.Duration, maxSilenceWindow)
	}
	// Local would be another time on each machine.
	if _, err := time.LoadLocation(w.TimeZone); err != nil || w.TimeZone == "Local" {
		c.problem("window.timeZone", "%q is not a time zone; write one such as Europe/Berlin or UTC", w.TimeZone)
	}
}
