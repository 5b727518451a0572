package config

import (
	"encoding/json"
	"fmt"
)

// Recorded returns c for a recording. It holds names of files and no secrets.
func (c *Config) Recorded() json.RawMessage {
	text, err := json.Marshal(c)
	if err != nil {
		panic(err) // maps, slices, numbers and texts
	}
	return text
}

// FromRecorded returns the configuration that Recorded gave, of this or an
// earlier version: what that did not know has its default.
func FromRecorded(text json.RawMessage) (*Config, error) {
	c := Default()
	if err := json.Unmarshal(text, c); err != nil {
		return nil, fmt.Errorf("the recorded configuration: %w", err)
	}
	return c, nil
}
