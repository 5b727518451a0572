package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"kubernaut.io/gateway/terminal"
)

const (
	// adminTimeout is how long a gateway may take for what operators ask.
	adminTimeout = 15 * time.Second
	// maxAdminAnswer bounds what is read of its answer, in bytes.
	maxAdminAnswer = 16 << 20
)

// adminPort is a running gateway's operators' port, and what it asks for.
type adminPort struct {
	url       string
	tokenFile string
	caFile    string
}

func (a *adminPort) register(flags *pflag.FlagSet) {
	flags.StringVar(&a.url, "admin", "http://127.0.0.1:9090", "`URL` of the gateway's operators' port")
	flags.StringVar(&a.tokenFile, "token-file", "", "`FILE` with a bearer token, where that port asks for one")
	flags.StringVar(&a.caFile, "ca-file", "", "`FILE` with the authorities to trust, in place of the system's, where that port is encrypted")
}

// refusedAnswer is what a gateway says instead of an answer.
type refusedAnswer struct {
	status int
	text   string
}

func (e *refusedAnswer) Error() string { return e.text }

// ask returns what the gateway answers at a path, as text or as JSON. Where it
// says something else than 200 the error is a *refusedAnswer.
func (a adminPort) ask(ctx context.Context, format reportFormat, path ...string) ([]byte, error) {
	return a.send(ctx, http.MethodGet, format, path...)
}

// send is ask by another method.
func (a adminPort) send(ctx context.Context, method string, format reportFormat, path ...string) ([]byte, error) {
	base, err := url.Parse(a.url)
	if err != nil || base.Host == "" {
		return nil, &usageError{fmt.Errorf("--admin %q is no URL; write one such as http://127.0.0.1:9090", a.url)}
	}
	ctx, cancel := context.WithTimeout(ctx, adminTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, base.JoinPath(path...).String(), nil)
	if err != nil {
		return nil, err
	}
	if format == reportText {
		request.Header.Set("Accept", "text/plain")
	}
	client, err := a.client(request)
	if err != nil {
		return nil, &usageError{err}
	}
	answer, err := client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("no gateway answers; give its operators' port with --admin, or forward it with kubectl port-forward: %w", err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxAdminAnswer))
	if err == nil && answer.StatusCode != http.StatusOK {
		err = &refusedAnswer{answer.StatusCode, strings.TrimSpace(string(body))}
	}
	if format == reportText {
		// A gateway has cleaned it; who answers may be another.
		body = []byte(terminal.Lines(string(body)))
	}
	return body, err
}

// client returns what asks a gateway, with a token on the request where there is
// one. A token goes nowhere but where it was meant to: no redirect is followed.
func (a adminPort) client(request *http.Request) (*http.Client, error) {
	if a.tokenFile != "" {
		token, err := os.ReadFile(a.tokenFile)
		if err != nil {
			return nil, fmt.Errorf("--token-file: %w", err)
		}
		request.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	if a.caFile == "" {
		return client, nil
	}
	authorities, err := os.ReadFile(a.caFile)
	if err != nil {
		return nil, fmt.Errorf("--ca-file: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(authorities) {
		return nil, fmt.Errorf("--ca-file: %s holds no certificate in PEM", a.caFile)
	}
	client.Transport = &http.Transport{
		Proxy: http.ProxyFromEnvironment, TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12},
	}
	return client, nil
}
