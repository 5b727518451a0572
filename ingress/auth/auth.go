// Package auth says who may send. Each kind of credentials is a Method; Any puts
// those of a source together, of which one suffices. The files that secrets are
// in can be read again at any time, and what is broken in them leaves those in
// force that were good.
//
// Secrets are compared in constant time, and neither logged nor part of an
// error. What takes long or goes to the Kubernetes API is done once for all that
// ask the same, a few at a time, and remembered for a while.
package auth

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"kubernaut.io/gateway/ingress"
)

// realm is what challenges say that credentials are for.
const realm = `realm="gateway"`

// Observer is told of attempts that were refused. It is called from many
// goroutines at once.
type Observer interface {
	// AuthFailed says of which kind the credentials were, and why they did not
	// suffice, as Failures lists them.
	AuthFailed(source, kind, reason string)
}

// Method is one kind of credentials. It is safe for concurrent use.
type Method interface {
	// Kind is what the configuration calls it.
	Kind() Kind
	// challenge is the value of WWW-Authenticate that asks for it.
	challenge() string
}

// headerMethod is a Method that goes by the header.
type headerMethod interface {
	Method
	// authenticate returns nil, or a failure.
	authenticate(r *http.Request) error
}

// bodyMethod is a Method that goes by the body too.
type bodyMethod interface {
	Method
	// expect returns what the body has to satisfy, or a failure.
	expect(r *http.Request) (ingress.BodyCheck, error)
}

// Options is what an Any is made of. All of it is required.
type Options struct {
	// Source is what the Observer is told.
	Source   string
	Methods  []Method
	Observer Observer
}

// Any lets in who satisfies any one of several methods.
type Any struct {
	options  Options
	byHeader []headerMethod
	byBody   []bodyMethod
}

var _ ingress.Authenticator = (*Any)(nil)

// New returns an Any.
func New(o Options) (*Any, error) {
	if o.Source == "" || o.Observer == nil {
		return nil, errors.New("auth: no source or observer")
	}
	if len(o.Methods) == 0 {
		return nil, fmt.Errorf("auth: source %s: no method, so that nobody would be let in", o.Source)
	}
	// What costs least is tried first.
	o.Methods = slices.Clone(o.Methods)
	slices.SortStableFunc(o.Methods, func(a, b Method) int {
		return cmp.Compare(slices.Index(kinds, a.Kind()), slices.Index(kinds, b.Kind()))
	})
	a := &Any{options: o}
	for _, m := range o.Methods {
		switch m := m.(type) {
		case headerMethod:
			a.byHeader = append(a.byHeader, m)
		case bodyMethod:
			a.byBody = append(a.byBody, m)
		}
	}
	return a, nil
}

// Authenticate implements ingress.Authenticator. The body is read where none of
// the header's credentials suffice and there is a signature of the body.
func (a *Any) Authenticate(r *http.Request) (ingress.BodyCheck, error) {
	var failed []error
	for _, m := range a.byHeader {
		err := m.authenticate(r)
		if err == nil {
			return nil, nil
		}
		failed = append(failed, err)
	}
	var pending []ingress.BodyCheck
	for _, m := range a.byBody {
		check, err := m.expect(r)
		if err != nil {
			failed = append(failed, err)
			continue
		}
		pending = append(pending, check)
	}
	if len(pending) == 0 {
		return nil, a.refuse(failed)
	}
	return func(body []byte) error {
		for _, check := range pending {
			err := check(body)
			if err == nil {
				return nil
			}
			failed = append(failed, err)
		}
		return a.refuse(failed)
	}, nil
}

// Challenges implements ingress.Authenticator.
func (a *Any) Challenges() []string {
	var all []string
	for _, m := range a.options.Methods {
		if c := m.challenge(); !slices.Contains(all, c) {
			all = append(all, c)
		}
	}
	return all
}

// refuse tells the observer why nobody was let in, and returns the failure that
// says most: that it can't be told now, that it is forbidden, or that it is
// wrong.
func (a *Any) refuse(failed []error) error {
	var worst *failure
	told := make(map[failure]bool)
	for _, err := range failed {
		f, ok := errors.AsType[*failure](err)
		if !ok || f.reason == Missing {
			continue
		}
		if what := (failure{kind: f.kind, reason: f.reason}); !told[what] {
			told[what] = true
			a.options.Observer.AuthFailed(a.options.Source, string(f.kind), string(f.reason))
		}
		if worst == nil || f.weight() > worst.weight() {
			worst = f
		}
	}
	if worst != nil {
		return worst
	}
	a.options.Observer.AuthFailed(a.options.Source, string(kindAny), string(Missing))
	return &failure{kind: kindAny, reason: Missing}
}

// authorization returns the credentials of a scheme, and whether there are any.
// Of two headers of this name nobody can tell which one counts.
func authorization(r *http.Request, scheme string) (string, bool) {
	values := r.Header["Authorization"]
	if len(values) != 1 {
		return "", false
	}
	name, rest, found := strings.Cut(values[0], " ")
	if !found || !strings.EqualFold(name, scheme) {
		return "", false
	}
	return strings.TrimLeft(rest, " "), true
}
