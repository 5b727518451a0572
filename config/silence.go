package config

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // images without an operating system have no time zones

	"github.com/prometheus/alertmanager/matcher/compat"
	"github.com/prometheus/alertmanager/pkg/labels"
	"github.com/robfig/cron/v3"
	"k8s.io/apimachinery/pkg/util/validation"

	"kubernaut.io/gateway"
)

// minPollInterval keeps the gateway from being a load to Alertmanagers.
const minPollInterval = 100 * time.Millisecond

// Silences says what people do not want to hear of, and where else that is
// written.
type Silences struct {
	// List holds silences. Of `matchers`, `namespaces` and `sources` all that are
	// given have to match, and one has to be given.
	List []Silence `yaml:"list"`
	// ConfigMap is the name of one in the gateway's namespace with more of them.
	ConfigMap string `yaml:"configMap"`
	// Alertmanagers are asked for their silences, which hold here too, for all
	// sources.
	Alertmanagers []Alertmanager `yaml:"alertmanagers"`
	// PollInterval is how often Alertmanagers are asked.
	PollInterval time.Duration `yaml:"pollInterval"`
}

// Silence is a silence as the file has it; gateway.Silence says what its fields
// mean.
type Silence struct {
	// Required. Name is what answers call it: lower-case letters, digits and
	// dashes, at most 63; once only.
	Name string `yaml:"name"`
	// Matchers are in Alertmanager's syntax, as `['severity=~"warning|info"']`; all
	// have to match.
	Matchers []string `yaml:"matchers"`
	// Namespaces are globs over the namespace of the signal's resource; one has to
	// match.
	Namespaces []string `yaml:"namespaces"`
	// Sources are names of sources; it has to be one of them.
	Sources []string `yaml:"sources"`
	// StartsAt is when it begins; without, it holds already.
	StartsAt time.Time `yaml:"startsAt"`
	// EndsAt is when it ends; required without a window.
	EndsAt time.Time     `yaml:"endsAt"`
	Window SilenceWindow `yaml:"window"`
	// Comment says why, for people.
	Comment string `yaml:"comment"`
	// CreatedBy is who made it, for people.
	CreatedBy string `yaml:"createdBy"`
}

// SilenceWindow is a time of maintenance that comes again.
type SilenceWindow struct {
	// Cron is when maintenance that comes again begins, in five fields, as `"30 2 *
	// * 0"`.
	Cron string `yaml:"cron"`
	// Duration is how long it takes, at most 24h; required with `window.cron`.
	Duration time.Duration `yaml:"duration"`
	// TimeZone is whose clocks `cron` goes by, as `Europe/Berlin`; empty for UTC.
	TimeZone string `yaml:"timeZone"`
}

// Alertmanager is one whose silences hold here too.
type Alertmanager struct {
	// Required. URL is where the Alertmanager is, as
	// `http://alertmanager.monitoring:9093`.
	URL string `yaml:"url"`
	// Username is the user, where it asks for one.
	Username string `yaml:"username"`
	// PasswordFile is a file with the user's password; read anew for each question.
	PasswordFile string `yaml:"passwordFile"`
	// TokenFile is a file with a bearer token, instead of a user; read anew for
	// each question.
	TokenFile string `yaml:"tokenFile"`
	// CAFile holds the authorities that are trusted; empty for the system's.
	CAFile string `yaml:"caFile"`
}

// SilenceRules returns the file's own silences.
func (c *Config) SilenceRules() []gateway.Silence {
	rules := make([]gateway.Silence, len(c.Silences.List))
	for i := range c.Silences.List {
		rules[i] = c.Silences.List[i].rule()
	}
	return rules
}

func (s *Silence) rule() gateway.Silence {
	w := s.Window
	return gateway.Silence{
		Name: s.Name, Matchers: s.Matchers, Namespaces: s.Namespaces, Sources: s.Sources, StartsAt: s.StartsAt, EndsAt: s.EndsAt,
		Window:  gateway.SilenceWindow{Cron: w.Cron, TimeZone: w.TimeZone, Duration: w.Duration},
		Comment: s.Comment, CreatedBy: s.CreatedBy,
	}
}

func (c *Config) checkSilences(k *checker) {
	sources := make([]string, len(c.Sources))
	for i := range c.Sources {
		sources[i] = c.Sources[i].Name
	}
	first := make(map[string]int)
	for i := range c.Silences.List {
		s, at := &c.Silences.List[i], fmt.Sprintf("silences.list[%d]", i)
		s.check(k, at, sources)
		if before, ok := first[s.Name]; ok {
			k.problem(at+".name", "%q is the name of silences.list[%d] already", s.Name, before)
		} else {
			first[s.Name] = i
		}
	}
	if errs := validation.IsDNS1123Subdomain(c.Silences.ConfigMap); len(errs) > 0 {
		k.problem("silences.configMap", "%q is not a ConfigMap's name; %s", c.Silences.ConfigMap, errs[0])
	}
	urls := make(map[string]int)
	for i, a := range c.Silences.Alertmanagers {
		at := fmt.Sprintf("silences.alertmanagers[%d]", i)
		a.check(k, at)
		if before, ok := urls[a.URL]; ok {
			k.problem(at+".url", "%q is that of silences.alertmanagers[%d] already", a.URL, before)
		} else {
			urls[a.URL] = i
		}
	}
	if d := c.Silences.PollInterval; d < minPollInterval {
		k.problem("silences.pollInterval", "%v is less than %v", d, minPollInterval)
	}
}

func (s *Silence) check(k *checker, at string, sources []string) {
	rule := s.rule()
	for _, p := range rule.Check(sources) {
		k.problem(at+"."+p.Field, "%s", p.Message)
	}
	var matchers []*labels.Matcher
	for i, text := range s.Matchers {
		m, err := parseMatcher(text, at)
		if err != nil {
			k.problem(fmt.Sprintf("%s.matchers[%d]", at, i), `%q is not a matcher; write one such as severity=~"warning|info": %v`, text, err)
			continue
		}
		matchers = append(matchers, m)
	}
	demanding := func(m *labels.Matcher) bool { return !m.Matches("") }
	if n := len(matchers); n > 0 && n == len(s.Matchers) && len(s.Namespaces)+len(s.Sources) == 0 && !slices.ContainsFunc(matchers, demanding) {
		k.problem(at+".matchers", "they match a signal without any labels too, and so nearly all; write one that does not match an empty label")
	}
	if text := s.Window.Cron; text != "" {
		if err := checkCron(text); err != nil {
			k.problem(at+".window.cron", "%q is not a cron expression of five fields: %v", text, err)
		}
	}
}

// parseMatcher reads a matcher as Alertmanager does by default.
var parseMatcher = compat.FallbackMatcherParser(slog.New(slog.DiscardHandler))

var cronParser = cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow)

func checkCron(text string) error {
	// The library takes a time zone here, and panics at some that are none.
	if strings.Contains(text, "=") {
		return errors.New("a time zone is not written here; write it as timeZone")
	}
	schedule, err := cronParser.Parse(text)
	if err == nil && schedule.Next(time.Unix(0, 0).UTC()).IsZero() {
		err = errors.New("such a day never comes")
	}
	return err
}

func (a *Alertmanager) check(k *checker, at string) {
	u, err := url.Parse(a.URL)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "":
		k.problem(at+".url", "%q is not where an Alertmanager is; write its URL, such as http://alertmanager.monitoring:9093", redacted(u))
	case u.User != nil:
		k.problem(at+".url", "credentials are not written here; write username and passwordFile")
	}
	k.file(at+".passwordFile", a.PasswordFile)
	k.file(at+".tokenFile", a.TokenFile)
	k.file(at+".caFile", a.CAFile)
	if (a.Username == "") != (a.PasswordFile == "") {
		k.problem(at, "a user needs a password; write both username and passwordFile, or none of them")
	}
	if a.TokenFile != "" && a.PasswordFile != "" {
		k.problem(at+".tokenFile", "one way to log in is enough; write either tokenFile or passwordFile")
	}
	if a.CAFile != "" && u != nil && u.Scheme == "http" {
		k.problem(at+".caFile", "it has no effect without https")
	}
}

// redacted returns a URL without a password that may be in it, and nothing of
// what is no URL.
func redacted(u *url.URL) string {
	if u == nil {
		return ""
	}
	return u.Redacted()
}
