package auth_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"kubernaut.io/gateway/ingress/auth"
)

// cluster answers as a test wants, and counts how often it is asked.
type cluster struct {
	answer func(token, verb, path string) (string, bool, error)
	// takes is how long an answer takes.
	takes       time.Duration
	asked       atomic.Int64
	atOnce, max atomic.Int64
}

func (c *cluster) Review(ctx context.Context, token, verb, path string) (string, bool, error) {
	c.asked.Add(1)
	if n := c.atOnce.Add(1); n > c.max.Load() {
		c.max.Store(n)
	}
	defer c.atOnce.Add(-1)
	select {
	case <-time.After(c.takes):
	case <-ctx.Done():
		return "", false, context.Cause(ctx)
	}
	return c.answer(token, verb, path)
}

func (c *cluster) times() int64 { return c.asked.Swap(0) }

func mustKubernetes(tb testing.TB, c *cluster, path string) *auth.Kubernetes {
	tb.Helper()
	k, err := auth.NewKubernetes(auth.KubernetesOptions{Reviewer: c, Slots: auth.NewSlots(auth.ReviewsAtOnce), Path: path})
	if err != nil {
		tb.Fatal(err)
	}
	return k
}

// byToken answers by how a token begins.
func byToken(token, verb, path string) (string, bool, error) {
	switch {
	case verb != "post" || path != "/webhook/prometheus":
		return "", false, fmt.Errorf("asked for %s %s", verb, path)
	case strings.HasPrefix(token, "good"), strings.HasPrefix(token, "ey"):
		return "system:serviceaccount:monitoring:alertmanager", true, nil
	case strings.HasPrefix(token, "may-not"):
		return "system:serviceaccount:shop:cart", false, nil
	case strings.HasPrefix(token, "away"):
		return "", false, errors.New("connection refused")
	default:
		return "", false, nil
	}
}

func bearer(token string) []string { return []string{"Authorization", "Bearer " + token} }

// jwt is a token that expires at a time, without a signature.
func jwt(claims string) string {
	return "eyJ9." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + ".x"
}

func TestKubernetes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cluster{answer: byToken}
		r := mustAny(t, mustKubernetes(t, c, "/webhook/prometheus"))
		now := time.Now().Unix()
		for _, test := range []struct {
			attempt
			// asked is how often the API server is for three requests, and keeps for
			// how long it is not asked again.
			asked int64
			keeps time.Duration
		}{
			{attempt{bearer("good"), 0, ""}, 1, time.Minute},
			{attempt{bearer(jwt(fmt.Sprintf(`{"exp":%d}`, now+3600))), 0, ""}, 1, time.Minute},
			{attempt{bearer(jwt(`{"exp":"soon"}`)), 0, ""}, 1, time.Minute},
			{attempt{bearer(jwt(`{"exp":1e300}`)), 0, ""}, 1, time.Minute},
			{attempt{bearer("nobody"), 401, "prometheus kubernetes wrong"}, 1, 10 * time.Second},
			{attempt{bearer("may-not"), 403, "prometheus kubernetes forbidden"}, 1, 10 * time.Second},
			{attempt{bearer("away"), 503, "prometheus kubernetes unavailable"}, 3, 0},
			{attempt{nil, 401, "prometheus any missing"}, 0, 0},
			{attempt{bearer("no token"), 401, "prometheus kubernetes malformed"}, 0, 0},
			{attempt{bearer(strings.Repeat("a", 16<<10+1)), 401, "prometheus kubernetes malformed"}, 0, 0},
		} {
			for range 3 {
				test.try(t, r, "")
			}
			if n := c.times(); n != test.asked {
				t.Errorf("%.60q: the API server was asked %d times, want %d", test.headers, n, test.asked)
			}
			if test.keeps == 0 {
				continue
			}
			time.Sleep(test.keeps)
			test.try(t, r, "")
			time.Sleep(time.Millisecond)
			test.try(t, r, "")
			if n := c.times(); n != 1 {
				t.Errorf("%.60q: after %v it was asked %d times, want once", test.headers, test.keeps, n)
			}
		}
		brief := attempt{bearer(jwt(fmt.Sprintf(`{"exp":%d}`, time.Now().Unix()+20))), 0, ""}
		brief.try(t, r, "")
		time.Sleep(19 * time.Second)
		brief.try(t, r, "")
		if n := c.times(); n != 1 {
			t.Errorf("a token of 20 s was asked about %d times", n)
		}
		time.Sleep(2 * time.Second)
		brief.try(t, r, "")
		if n := c.times(); n != 1 {
			t.Error("a token that has expired is still remembered")
		}
	})
}

// All that ask the same at once wait for one answer; one that gives up takes
// nobody along.
func TestOneReviewForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cluster{answer: byToken, takes: time.Second}
		r := mustAny(t, mustKubernetes(t, c, "/webhook/prometheus"))
		first := request(bearer("good")...)
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		var all sync.WaitGroup
		all.Go(func() {
			if code, _ := r.ask(t, first.WithContext(ctx), ""); code != 503 {
				t.Errorf("who gave up was told %d", code)
			}
		})
		time.Sleep(time.Millisecond)
		for range 100 {
			all.Go(func() {
				if code, _ := r.ask(t, request(bearer("good")...), ""); code != 0 {
					t.Errorf("status %d", code)
				}
			})
		}
		all.Wait()
		if n := c.times(); n != 1 {
			t.Errorf("asked %d times", n)
		}
	})
}

// A crowd of tokens that nobody knows is asked about a few at a time, is told to
// come again, and keeps those out of nothing that were good before.
func TestStrangersKeepNobodyOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cluster{answer: byToken}
		r := mustAny(t, mustKubernetes(t, c, "/webhook/prometheus"))
		attempt{bearer("good"), 0, ""}.try(t, r, "")
		time.Sleep(2 * time.Minute) // forgotten, but known
		c.takes = time.Second
		var all sync.WaitGroup
		var busy atomic.Int64
		for i := range 200 {
			all.Go(func() {
				if _, err := r.Authenticate(request(bearer(fmt.Sprint("stranger", i))...)); status(err) == 503 {
					busy.Add(1)
				}
			})
		}
		synctest.Wait()
		began := time.Now()
		if _, err := r.Authenticate(request(bearer("good")...)); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("it took %v behind strangers", took)
		}
		all.Wait()
		if n := c.max.Load(); n > 2*auth.ReviewsAtOnce {
			t.Errorf("%d reviews at once", n)
		}
		if n := busy.Load(); n < 150 {
			t.Errorf("only %d strangers were told to come again", n)
		}
	})
}

// Without a path of its own, what is asked for has to be allowed.
func TestTheRequestsOwnPath(t *testing.T) {
	c := &cluster{answer: func(_, verb, path string) (string, bool, error) {
		return "ana", verb == "get" && path == "/metrics", nil
	}}
	r := mustAny(t, mustKubernetes(t, c, ""))
	for path, want := range map[string]int{"/metrics": 0, "/": 403, "/metrics/x": 403} {
		q := request(bearer("good")...)
		q.Method, q.URL.Path = "GET", path
		if code, _ := r.ask(t, q, ""); code != want {
			t.Errorf("%s: %d, want %d", path, code, want)
		}
	}
}
