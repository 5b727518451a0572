package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/pflag"
)

const (
	// adminTimeout is how long a gateway may take for what operators ask.
	adminTimeout = 15 * time.Second
	// maxAdminAnswer bounds what is read of its answer, in bytes.
	maxAdminAnswer = 16 << 20
)

// adminPort is the URL of a running gateway's operators' port.
type adminPort string

func (a *adminPort) register(flags *pflag.FlagSet) {
	flags.StringVar((*string)(a), "admin", "http://127.0.0.1:9090", "`URL` of the gateway's operators' port")
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
	base, err := url.Parse(string(a))
	if err != nil || base.Host == "" {
		return nil, &usageError{fmt.Errorf("--admin %q is no URL; write one such as http://127.0.0.1:9090", string(a))}
	}
	ctx, cancel := context.WithTimeout(ctx, adminTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, base.JoinPath(path...).String(), nil)
	if err != nil {
		return nil, err
	}
	if format == reportText {
		request.Header.Set("Accept", "text/plain")
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, fmt.Errorf("no gateway answers; give its operators' port with --admin, or forward it with kubectl port-forward: %w", err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxAdminAnswer))
	if err == nil && answer.StatusCode != http.StatusOK {
		err = &refusedAnswer{answer.StatusCode, strings.TrimSpace(string(body))}
	}
	return body, err
}
