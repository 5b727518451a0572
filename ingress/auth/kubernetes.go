package auth

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"kubernaut.io/gateway/ingress"
)

const (
	// allowedFor is for how long the API server is not asked again about a token,
	// or until it expires: so long a right that was taken back may live on.
	allowedFor = time.Minute
	// maxTokenBytes is many times a service account's token.
	maxTokenBytes = 16 << 10
)

// ReviewsAtOnce is how many tokens the API server is asked about at once, of
// those known and those unknown.
const ReviewsAtOnce = 4

// Reviewer asks the Kubernetes API about tokens. It is safe for concurrent use.
type Reviewer interface {
	// Review returns whom a token stands for, empty for nobody, and whether that
	// one may do verb on a path that is no resource. An error means that it can't
	// be told now. The token is in none of them.
	Review(ctx context.Context, token, verb, path string) (user string, allowed bool, err error)
}

// KubernetesOptions is what a Kubernetes is made of.
type KubernetesOptions struct {
	Reviewer Reviewer
	// Slots are shared by all that ask the same API server.
	Slots *Slots
	// Path is the path that has to be allowed for the verb post; empty for the
	// request's own path and method.
	Path string
}

// Kubernetes lets in who has a token of the cluster and the right to post here.
type Kubernetes struct {
	options KubernetesOptions
	worker  *worker
}

// NewKubernetes returns a Kubernetes.
func NewKubernetes(o KubernetesOptions) (*Kubernetes, error) {
	if o.Reviewer == nil || o.Slots == nil {
		return nil, errors.New("auth: kubernetes: nobody to ask, or no slots")
	}
	return &Kubernetes{options: o, worker: newWorker(o.Slots)}, nil
}

// Kind implements Method.
func (*Kubernetes) Kind() Kind { return KindKubernetes }

func (k *Kubernetes) authenticate(r *http.Request) error {
	token, ok := authorization(r, "Bearer")
	switch {
	case !ok:
		return &failure{kind: KindKubernetes, reason: Missing}
	case !isToken(token) || len(token) > maxTokenBytes:
		return &failure{kind: KindKubernetes, reason: Malformed}
	}
	verb, path := "post", k.options.Path
	if path == "" {
		verb, path = strings.ToLower(r.Method), r.URL.Path
	}
	v := k.worker.check(r.Context(), k.worker.digest(token, verb, path), func(ctx context.Context) (verdict, time.Duration) {
		return k.review(ctx, token, verb, path)
	})
	if v.failed != nil {
		return &failure{kind: KindKubernetes, reason: v.failed.reason, cause: v.failed.cause}
	}
	ingress.Identify(r, v.who)
	return nil
}

func (k *Kubernetes) review(ctx context.Context, token, verb, path string) (verdict, time.Duration) {
	keep := allowedFor
	if expires, ok := expiry(token); ok {
		keep = min(keep, time.Until(expires))
	}
	user, allowed, err := k.options.Reviewer.Review(ctx, token, verb, path)
	switch {
	case err != nil:
		return verdict{failed: &failure{reason: Unavailable, cause: err}}, 0
	case user == "":
		return verdict{failed: &failure{reason: Wrong}}, 0
	case !allowed:
		return verdict{failed: &failure{reason: Forbidden, cause: fmt.Errorf("%s has no right to %s %s", user, verb, path)}}, 0
	}
	return verdict{who: user}, keep
}

// expiry returns when a token says that it expires, where it is a JSON Web Token
// and does. It is asked of tokens that the API server vouches for.
func expiry(token string) (time.Time, bool) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return time.Time{}, false
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return time.Time{}, false
	}
	var claims struct {
		Expires float64 `json:"exp"`
	}
	if json.Unmarshal(text, &claims) != nil || claims.Expires <= 0 || claims.Expires > maxExpiry {
		return time.Time{}, false
	}
	return time.Unix(int64(claims.Expires), 0), true
}

// maxExpiry is the year 10000, in Unix seconds.
const maxExpiry = 253402300800

func (*Kubernetes) challenge() string { return "Bearer " + realm }
