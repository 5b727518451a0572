package config_test

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"kubernaut.io/gateway/config"
)

// mustFile writes a file and returns its name.
func mustFile(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestCredentialsAreRead(t *testing.T) {
	file := mustFile(t, "f", "text")
	c := mustParse(t, strings.NewReplacer(" F", " "+file).Replace(`
webhooks: {tls: {certFile: F, keyFile: F, clientCAFile: F, required: true}}
admin:
  tls: {certFile: F, keyFile: F, clientCAFile: F}
  auth: [{bearer: {tokenFile: F}}, {mtls: }]
sources:
- name: a
  format: alertmanager
  auth:
  - bearer: {tokenFile: F}
  - basic: {usersFile: F}
  - hmac: {secretFile: F}
  - hmac: {secretFile: F, header: X-Grafana-Alerting-Signature, timestampHeader: X-Time, tolerance: 30s}
  - mtls: {allowedSANs: ["*.example.org", 10.0.0.1, "spiffe://a/b", "a@example.org"]}
  - kubernetes: {audiences: [gateway]}
  - kubernetes: {}
`))
	tls := config.TLS{CertFile: file, KeyFile: file, ClientCAFile: file}
	if c.Admin.TLS != tls {
		t.Errorf("admin.tls %+v", c.Admin.TLS)
	}
	if want := []config.Auth{{Bearer: &config.Bearer{TokenFile: file}}, {MTLS: &config.MTLS{}}}; !reflect.DeepEqual(c.Admin.Auth, want) {
		t.Errorf("admin.auth %s, want %s", dump(t, c.Admin.Auth), dump(t, want))
	}
	tls.Required = true
	if c.Webhooks.TLS != tls {
		t.Errorf("webhooks.tls %+v", c.Webhooks.TLS)
	}
	want := []config.Auth{
		{Bearer: &config.Bearer{TokenFile: file}},
		{Basic: &config.Basic{UsersFile: file}},
		{HMAC: &config.HMAC{SecretFile: file, Header: "X-Webhook-Signature", Tolerance: 5 * time.Minute}},
		{HMAC: &config.HMAC{SecretFile: file, Header: "X-Grafana-Alerting-Signature", TimestampHeader: "X-Time", Tolerance: 30 * time.Second}},
		{MTLS: &config.MTLS{AllowedSANs: []string{"*.example.org", "10.0.0.1", "spiffe://a/b", "a@example.org"}}},
		{Kubernetes: &config.KubernetesToken{Audiences: []string{"gateway"}}},
		{Kubernetes: &config.KubernetesToken{}},
	}
	if !reflect.DeepEqual(c.Sources[0].Auth, want) {
		t.Errorf("auth\n%s\nwant\n%s", dump(t, c.Sources[0].Auth), dump(t, want))
	}
	again, err := config.FromRecorded(c.Recorded())
	if err != nil || !reflect.DeepEqual(again, c) {
		t.Errorf("recorded and read again it is %s (%v)", dump(t, again), err)
	}
}

func TestCredentialsAreChecked(t *testing.T) {
	empty, full := mustFile(t, "empty", " \n\n"), mustFile(t, "full", "text")
	const (
		tokens  = "write a file with tokens, one a line; make one with: openssl rand -hex 32"
		secrets = "write a file with secrets, one a line; make one with: openssl rand -hex 32"
		san     = `write a host (*.example.org for any one label), an IP address, an email address, or a URI such as spiffe://example.org/ns/monitoring/sa/alertmanager`
		tls     = "webhooks: {address: 127.0.0.1:8080, tls: {certFile: F, keyFile: F, clientCAFile: F}}\n"
		source  = "sources: [{name: a, format: alertmanager, auth: "
	)
	for name, test := range map[string]struct{ text, want string }{
		"an unknown kind": {source + "[{barer: {}}]}]\n", `line 2: sources[0].auth[0].barer: unknown key; did you mean bearer?`},
		"an unknown key": {source + "[{bearer: {token: a}}]}]\n", `line 2: sources[0].auth[0].bearer.tokenFile: this is missing; ` + tokens + `
line 2: sources[0].auth[0].bearer.token: unknown key; those known here are tokenFile`},
		"two kinds in one": {
			source + "[{none: {}, bearer: {tokenFile: F}}]}]\n",
			`line 2: sources[0].auth[0]: none and bearer are of two kinds; write each in an entry of its own, any one of them suffices`,
		},
		"none beside another": {
			source + "[{none: {}}, {bearer: {tokenFile: F}}]}]\n",
			`line 2: sources[0].auth[1]: it has no effect beside none, which lets everyone in; leave out one of them`,
		},
		"no file":          {source + "[{bearer: {}}]}]\n", `line 2: sources[0].auth[0].bearer.tokenFile: this is missing; ` + tokens},
		"a file not there": {source + "[{basic: {usersFile: /nowhere/users}}]}]\n", `line 2: sources[0].auth[0].basic.usersFile: stat /nowhere/users: no such file or directory`},
		"an empty file":    {source + "[{bearer: {tokenFile: EMPTY}}]}]\n", `line 2: sources[0].auth[0].bearer.tokenFile: EMPTY is empty, so that nobody would be let in; ` + tokens},
		"hmac": {
			source + "[{hmac: {secretFile: EMPTY, header: a b, timestampHeader: 'c:', tolerance: 0s}}, {hmac: {secretFile: F, header: X-A, timestampHeader: x-a}}]}]\n",
			`line 2: sources[0].auth[0].hmac.secretFile: EMPTY is empty, so that nobody would be let in; ` + secrets + `
line 2: sources[0].auth[0].hmac.header: "a b" is not the name of a header; write one such as X-Webhook-Signature
line 2: sources[0].auth[0].hmac.timestampHeader: "c:" is not the name of a header; write one such as X-Webhook-Timestamp
line 2: sources[0].auth[0].hmac.tolerance: 0s is not more than 0
line 2: sources[0].auth[1].hmac.timestampHeader: "x-a" is that of the signature already`,
		},
		"certificates without an authority": {
			source + "[{mtls: {}}]}]\n",
			`line 2: sources[0].auth[0].mtls: certificates of clients need an authority; write webhooks.tls.clientCAFile`,
		},
		"names of certificates": {
			tls + source + "[{mtls: {allowedSANs: ['a_b', '*', 'a.*.b', 'spiffe://', '@a']}}]}]\n",
			`line 2: sources[0].auth[0].mtls.allowedSANs[0]: "a_b" is no name of a certificate; ` + san + `
line 2: sources[0].auth[0].mtls.allowedSANs[1]: "*" is no name of a certificate; ` + san + `
line 2: sources[0].auth[0].mtls.allowedSANs[2]: "a.*.b" is no name of a certificate; ` + san + `
line 2: sources[0].auth[0].mtls.allowedSANs[3]: "spiffe://" is no name of a certificate; ` + san + `
line 2: sources[0].auth[0].mtls.allowedSANs[4]: "@a" is no name of a certificate; ` + san,
		},
		"audiences": {
			source + "[{kubernetes: {audiences: ['']}}]}]\n",
			`line 2: sources[0].auth[0].kubernetes.audiences[0]: this is empty; write what tokens are made for, such as gateway`,
		},
		"operators": {
			loopback + "admin: {auth: [{hmac: {secretFile: F}}, {mtls: {}}]}\n",
			`line 2: admin.auth[0].hmac: requests to this port have no body that could be signed; use bearer, basic, mtls or kubernetes
line 2: admin.auth[1].mtls: certificates of clients need an authority; write admin.tls.clientCAFile`,
		},
		"names of the operators' port": {
			loopback + "admin: {hosts: [gateway.example.org, 'http://a', 'a:9090', '']}\n",
			`line 2: admin.hosts[1]: "http://a" is no host's name; write one without scheme or port, such as gateway.example.org
line 2: admin.hosts[2]: "a:9090" is no host's name; write one without scheme or port, such as gateway.example.org
line 2: admin.hosts[3]: "" is no host's name; write one without scheme or port, such as gateway.example.org`,
		},
		"a certificate without its key": {
			"webhooks: {address: 127.0.0.1:8080, tls: {certFile: F}}\n",
			`line 1: webhooks.tls: a certificate needs its key; write both certFile and keyFile, or none of them`,
		},
		"TLS required and not there": {
			"webhooks: {address: 127.0.0.1:8080, tls: {required: true}}\n",
			`line 1: webhooks.tls.required: there is no certificate to encrypt with; write certFile and keyFile, or leave required out where a mesh or a proxy encrypts`,
		},
		"an authority without a certificate": {
			loopback + "admin: {tls: {clientCAFile: F}}\n",
			`line 2: admin.tls.clientCAFile: it has no effect without certFile and keyFile`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			text := test.text
			if strings.HasPrefix(text, "sources") {
				text = loopback + text
			}
			files := strings.NewReplacer(" F", " "+full, "EMPTY", empty)
			c, err := config.Parse([]byte(files.Replace(text)))
			if c != nil || err == nil {
				t.Fatalf("accepted, want\n%s", test.want)
			}
			if want := strings.ReplaceAll(test.want, "EMPTY", empty); err.Error() != want {
				t.Errorf("got\n%s\nwant\n%s", err, want)
			}
		})
	}
}
