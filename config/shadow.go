package config

import "errors"

// errShadowsShadow means that a shadow has one of its own.
var errShadowsShadow = errors.New("a shadow has no shadow; take its key shadow out")

// LoadShadow reads the file of shadow.config, which has all that a configuration
// has but a shadow.
func LoadShadow(path string) (*Config, error) {
	nested := false
	c, err := Load(path, func(c *Config) {
		nested = c.Shadow.Config != ""
		c.Shadow.Config = "" // or it would be looked into, which may be this file
	})
	if err == nil && nested {
		err = errShadowsShadow
	}
	return c, err
}

// checkShadow reports all that is wrong with the file of shadow.config.
func (c *Config) checkShadow(k *checker) {
	if c.Shadow.Config == "" {
		return
	}
	_, err := LoadShadow(c.Shadow.Config)
	if problems, ok := errors.AsType[Problems](err); ok {
		for _, p := range problems {
			k.problem("shadow.config", "%v", p)
		}
		return
	}
	if err != nil {
		k.problem("shadow.config", "%v", err)
	}
}
