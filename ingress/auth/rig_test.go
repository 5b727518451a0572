package auth_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"kubernaut.io/gateway/ingress"
	"kubernaut.io/gateway/ingress/auth"
)

// observer keeps what it is told.
type observer struct {
	mu   sync.Mutex
	told []string
}

func (o *observer) AuthFailed(source, kind, reason string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.told = append(o.told, source+" "+kind+" "+reason)
}

// take returns what was told since it was asked last.
func (o *observer) take() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	told := strings.Join(o.told, ", ")
	o.told = nil
	return told
}

// rig is a source's credentials and who is told of them.
type rig struct {
	*auth.Any
	observer *observer
}

func mustAny(tb testing.TB, methods ...auth.Method) *rig {
	tb.Helper()
	r := &rig{observer: &observer{}}
	var err error
	if r.Any, err = auth.New(auth.Options{Source: "prometheus", Methods: methods, Observer: r.observer}); err != nil {
		tb.Fatal(err)
	}
	return r
}

// ask returns the status that a request would be answered with, 0 where it is
// let in, and what the observer was told.
func (r *rig) ask(tb testing.TB, request *http.Request, body string) (int, string) {
	tb.Helper()
	check, err := r.Authenticate(request)
	if err == nil && check != nil {
		err = check([]byte(body))
	}
	return status(err), r.observer.take()
}

func status(err error) int {
	switch {
	case err == nil:
		return 0
	case errors.Is(err, ingress.ErrUnauthenticated):
		return http.StatusUnauthorized
	case errors.Is(err, ingress.ErrForbidden):
		return http.StatusForbidden
	default:
		return http.StatusServiceUnavailable
	}
}

// request returns one with headers, given as names and values in turn.
func request(headers ...string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/webhook/prometheus", nil)
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return r
}

// attempt is a request and what has to become of it.
type attempt struct {
	headers []string
	status  int
	told    string
}

func (a attempt) try(t *testing.T, r *rig, body string) {
	t.Helper()
	code, told := r.ask(t, request(a.headers...), body)
	if code != a.status || told != a.told {
		t.Errorf("%q: status %d, told %q; want %d, %q", a.headers, code, told, a.status, a.told)
	}
}

func mustWrite(tb testing.TB, path, text string) {
	tb.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
}

// mustFile writes a new file and returns its path.
func mustFile(tb testing.TB, text string) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "secret")
	mustWrite(tb, path, text)
	return path
}

// refused fails the test unless an error has all the words, and none of the
// secrets.
func refused(tb testing.TB, err error, want string, secrets ...string) {
	tb.Helper()
	if err == nil || !strings.Contains(err.Error(), want) {
		tb.Errorf("error %v, want %q in it", err, want)
		return
	}
	for _, secret := range secrets {
		if strings.Contains(err.Error(), secret) {
			tb.Errorf("the error tells a secret: %v", err)
		}
	}
}
