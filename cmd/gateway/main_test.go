package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"kubernaut.io/gateway/app"
)

// execute runs a command line that ends by itself.
func execute(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(t.Context(), args, &out, &errs)
	return code, out.String(), errs.String()
}

func writeFile(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// outside makes this process one that no kubeconfig and no cluster is told to.
func outside(t *testing.T) {
	t.Helper()
	for _, name := range []string{"KUBECONFIG", "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"} {
		t.Setenv(name, "")
	}
}

const servable = `
webhooks: {address: "127.0.0.1:0"}
admin: {address: "127.0.0.1:0"}
shutdownDelay: 0
`

func TestCommandLines(t *testing.T) {
	outside(t)
	good := writeFile(t, "good.yaml", servable)
	bad := writeFile(t, "bad.yaml", servable+"clustr: a\ndedup: {window: 0s}\n")
	lost := writeFile(t, "lost.yaml", servable+"kubernetes: {kubeconfig: "+bad+"}\n")
	missing := filepath.Join(t.TempDir(), "missing")
	rules := filepath.Dir(writeFile(t, "p.rego", "package gateway\n\npath := 5 +\n"))
	ruled := writeFile(t, "ruled.yaml", servable+"policy: {path: "+rules+"}\n")

	tests := map[string]struct {
		args   []string
		code   int
		stdout string // what it contains
		stderr string // what it contains; empty for nothing at all
	}{
		"nothing":                 {nil, exitOK, "gateway serve --config gateway.yaml", ""},
		"help":                    {[]string{"--help"}, exitOK, "gateway serve --config gateway.yaml", ""},
		"help of a command":       {[]string{"dev", "--help"}, exitOK, "gateway dev --data-dir /tmp/try", ""},
		"unknown command":         {[]string{"sreve"}, exitUsage, "", "unknown command \"sreve\" for \"gateway\"\n\nDid you mean this?\n\tserve"},
		"unknown flag":            {[]string{"serve", "--confg", "x"}, exitUsage, "", "unknown flag: --confg\nRun 'gateway serve --help' for usage."},
		"unknown argument":        {[]string{"version", "x"}, exitUsage, "", "Run 'gateway version --help'"},
		"version":                 {[]string{"version"}, exitOK, "gateway devel " + runtime.Version(), ""},
		"config":                  {[]string{"config"}, exitOK, "check", ""},
		"config, unknown command": {[]string{"config", "chek"}, exitUsage, "", `unknown command "chek" for "gateway config"`},
		"check without a file":    {[]string{"config", "check"}, exitUsage, "", "accepts 1 arg(s), received 0"},
		"check of a good file":    {[]string{"config", "check", good}, exitOK, good + ": no problems\n", ""},
		"check of a bad file": {
			[]string{"config", "check", bad},
			exitUsage, "",
			bad + ":5: clustr: unknown key; did you mean cluster?\n" + bad + ":6: dedup.window: 0s is not more than 0\n",
		},
		"check of a broken policy":    {[]string{"config", "check", ruled}, exitUsage, "", "policy.path: "},
		"check of a missing file":     {[]string{"config", "check", missing}, exitUsage, "", "open " + missing},
		"crd with a bad file":         {[]string{"crd", "--config", bad}, exitUsage, "", "clustr"},
		"serve without a file":        {[]string{"serve"}, exitUsage, "", "--config FILE is required"},
		"serve with a bad file":       {[]string{"serve", "--config", bad}, exitUsage, "", bad + ":5: clustr"},
		"serve without a cluster":     {[]string{"serve", "--config", good}, exitUsage, "", "$KUBECONFIG is not set"},
		"serve with a bad kubeconfig": {[]string{"serve", "--config", lost}, exitUsage, "", "kubeconfig " + bad},
		"serve with a bad log level":  {[]string{"serve", "--config", good, "--log-level", "loud"}, exitUsage, "", "--log-level"},
		"serve with a bad log format": {[]string{"serve", "--config", good, "--log-format", "xml"}, exitUsage, "", `"xml" is not a log format; use json or text`},
		"dev with a bad file":         {[]string{"dev", "--config", bad}, exitUsage, "", bad + ":5: clustr"},
		"dev with a bad address":      {[]string{"dev", "--webhook-address", "here"}, exitUsage, "", `webhooks.address: "here" is not an address`},
		"dev open to the network":     {[]string{"dev", "--webhook-address", ":0"}, exitUsage, "", `source "prometheus" asks for no credentials`},
		"dev with a missing devcluster": {
			[]string{"dev", "--data-dir", missing, "--devcluster", missing}, exitUsage, "", "--devcluster: ",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			code, stdout, stderr := execute(t, test.args...)
			if code != test.code {
				t.Errorf("exit code %d, want %d", code, test.code)
			}
			if !strings.Contains(stdout, test.stdout) || test.stdout == "" && stdout != "" {
				t.Errorf("stdout is\n%s\nwant in it\n%s", stdout, test.stdout)
			}
			if !strings.Contains(stderr, test.stderr) || test.stderr == "" && stderr != "" {
				t.Errorf("stderr is\n%s\nwant in it\n%s", stderr, test.stderr)
			}
		})
	}
}

func TestKubeconfigOfTheEnvironment(t *testing.T) {
	outside(t)
	const text = `{apiVersion: v1, kind: Config, current-context: a,
contexts: [{name: a, context: {cluster: a, user: a}}], users: [{name: a, user: {token: secret}}],
clusters: [{name: a, cluster: {server: "https://%s:1"}}]}`
	one := writeFile(t, "one", strings.ReplaceAll(text, "%s", "one.example"))
	two := writeFile(t, "two", strings.ReplaceAll(text, "%s", "two.example"))

	t.Setenv("KUBECONFIG", one+string(filepath.ListSeparator)+two)
	for kubeconfig, host := range map[string]string{"": "https://one.example:1", two: "https://two.example:1"} {
		cfg, err := app.RESTConfig(kubeconfig, os.Getenv("KUBECONFIG"))
		if err != nil || cfg.Host != host {
			t.Errorf("kubeconfig %q leads to %+v, %v, want %s", kubeconfig, cfg, err, host)
		}
	}
	t.Setenv("KUBECONFIG", one+"-missing")
	if _, err := app.RESTConfig("", os.Getenv("KUBECONFIG")); err == nil || !strings.Contains(err.Error(), one+"-missing") {
		t.Errorf("a missing file of $KUBECONFIG: %v, want it named", err)
	}
}

func TestCRD(t *testing.T) {
	file := writeFile(t, "gateway.yaml", servable+"namespace: elsewhere\n")
	const (
		crd    = " CustomResourceDefinition/remediationrequests.remediation.kubernaut.io"
		policy = " ValidatingAdmissionPolicy/remediationrequest-approval.kubernaut.io" +
			" ValidatingAdmissionPolicyBinding/remediationrequest-approval.kubernaut.io"
	)
	for want, args := range map[string][]string{
		"Namespace/kubernaut-system" + crd:          {"crd"},
		"Namespace/elsewhere" + crd:                 {"crd", "--config", file},
		"Namespace/kubernaut-system" + crd + policy: {"crd", "--approval-policy"},
	} {
		code, stdout, stderr := execute(t, args...)
		if code != exitOK || stderr != "" {
			t.Fatalf("%v: exit code %d, %s", args, code, stderr)
		}
		var got []string
		documents := yaml.NewDecoder(strings.NewReader(stdout))
		for {
			var object struct {
				Kind     string
				Metadata struct{ Name string }
			}
			err := documents.Decode(&object)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, object.Kind+"/"+object.Metadata.Name)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%v prints %v, want %s", args, got, want)
		}
	}
}
