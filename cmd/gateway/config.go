package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"kubernaut.io/gateway/app"
	"kubernaut.io/gateway/config"
)

func newConfig() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Look at configuration files",
		Long: `A configuration is one YAML file, read strictly: what is unknown or can't be is
named, all at once, before anything is served. docs/configuration.md has every
key with its default.`,
		Example: "  gateway config check gateway.yaml",
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return &usageError{fmt.Errorf("unknown command %q for %q", args[0], cmd.CommandPath())}
			}
			return cmd.Help()
		},
	}
	cmd.AddCommand(&cobra.Command{
		Use:   "check FILE",
		Short: "Name everything that is wrong with a configuration file",
		Long: `Reads a configuration file as serve would and names every problem in it, with
its line and key. The expressions of mappings are compiled, files of credentials
and certificates are read, a policy is loaded, and its own tests are run. Exits
with 0 if there is none and 2 otherwise.`,
		Example: "  gateway config check gateway.yaml",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := loadConfig(args[0])
			if err != nil {
				return err
			}
			if err := errors.Join(app.CheckCredentials(c), app.CheckPolicy(c)); err != nil {
				return &usageError{err}
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: no problems\n", args[0])
			return err
		},
	})
	return cmd
}

// loadConfig reads a file. That it can't be read is the command line's fault.
func loadConfig(path string, overrides ...config.Override) (*config.Config, error) {
	c, err := config.Reading{Overrides: overrides, Check: app.CheckSources}.Load(path)
	if err != nil {
		return nil, &usageError{err}
	}
	return c, nil
}

// withCredentials returns a configuration that was read, unless what it names of
// credentials and certificates is not fit to serve with.
func withCredentials(c *config.Config, err error) (*config.Config, error) {
	if err != nil {
		return nil, err
	}
	if err := app.CheckCredentials(c); err != nil {
		return nil, &usageError{err}
	}
	return c, nil
}
