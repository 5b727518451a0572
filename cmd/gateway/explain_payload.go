package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"kubernaut.io/gateway/app"
	"kubernaut.io/gateway/config"
)

// Flags of explain that only what is given by name takes, and those that only a
// payload does.
var (
	nameFlags    = []string{"admin", "token-file", "ca-file", "recording"}
	payloadFlags = []string{"config", "source", "format"}
)

// explainable is what requests, fingerprints and senders' requests are called: an
// X-Request-Id is any of the letters here, and the other two are such too.
var explainable = regexp.MustCompile(`^[A-Za-z0-9._-]{1,128}$`)

// isPayload reports whether an argument of explain is a file with a payload and
// not a name.
func isPayload(arg string, flags *pflag.FlagSet) (bool, error) {
	given := func(name string) bool { return flags.Changed(name) }
	byName, byFile := slices.IndexFunc(nameFlags, given), slices.IndexFunc(payloadFlags, given)
	switch {
	case byName >= 0 && (byFile >= 0 || arg == "-"):
		of := "-"
		if byFile >= 0 {
			of = "--" + payloadFlags[byFile]
		}
		return false, &usageError{fmt.Errorf("--%s explains what was decided, and %s what a payload would be; write one of them", nameFlags[byName], of)}
	case byName >= 0:
		return false, nil
	case byFile >= 0 || arg == "-":
		return true, nil
	}
	named := !strings.ContainsRune(arg, filepath.Separator) && filepath.Ext(arg) == "" && explainable.MatchString(arg)
	return !named && isFile(arg), nil
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && !info.IsDir()
}

// fileMeant says of a name that nothing is known of that a file may have been
// meant.
func fileMeant(arg string, err error) error {
	switch {
	case err == nil || errors.As(err, new(*usageError)):
		return err
	case isFile(arg):
		return fmt.Errorf("%w; for the file of that name write %s", err, "."+string(filepath.Separator)+arg)
	case strings.ContainsRune(arg, filepath.Separator) || strings.HasSuffix(arg, ".json"):
		return fmt.Errorf("%w; there is no file of that name either", err)
	default:
		return err
	}
}

// explainPayload prints how the signals in a file would be decided now.
func explainPayload(cmd *cobra.Command, o explainOptions, file string) error {
	what := app.PayloadOptions{
		Name: file, ConfigName: o.config, Source: o.source, Format: config.Format(o.format), At: time.Now(), JSON: o.output == reportJSON,
	}
	if file == "-" {
		what.Name = "standard input"
	}
	var err error
	if o.config != "" {
		if what.Config, err = loadConfig(o.config); err != nil {
			return err
		}
	}
	if what.Body, err = readSignal(file, cmd.InOrStdin()); err != nil {
		return &usageError{err}
	}
	if err := app.ExplainPayload(cmd.Context(), cmd.OutOrStdout(), what); err != nil {
		return &usageError{err}
	}
	return nil
}
