package attack

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// signed returns the headers of a signature of body, and of a time where there is
// one.
func signed(body string, at time.Time) []string {
	mac := hmac.New(sha256.New, []byte(secret))
	if at.IsZero() {
		mac.Write([]byte(body))
		return []string{signature, hex.EncodeToString(mac.Sum(nil))}
	}
	text := strconv.FormatInt(at.Unix(), 10)
	mac.Write([]byte(text + ":" + body))
	return []string{signature, hex.EncodeToString(mac.Sum(nil)), timestamp, text}
}

func bearer(token string) []string { return []string{"Authorization", "Bearer " + token} }

func basic(user, password string) []string {
	return []string{"Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))}
}

// refusedWith posts an alert to a source with each of several headers, all of which
// have to be refused with 401.
func refusedWith(source string, each func(body string) [][]string) func(*testing.T, *world) {
	return func(t *testing.T, w *world) {
		name := unique()
		body := alert(name, "cart")
		for _, headers := range each(body) {
			if a := w.plain.mustPost(t, source, body, headers...); a.status != http.StatusUnauthorized {
				t.Errorf("%.200q is answered %d", headers, a.status)
			}
		}
		w.plain.mustHaveNone(t, name)
	}
}

var credentialAttacks = []attack{
	{
		name: "token of another source", does: "a good token, posted to a source that it is not for, and to its alias by path", must: "401",
		run: refusedWith("bearer", func(string) [][]string {
			return [][]string{bearer(tokenB), nil, bearer(tokenA + "x"), bearer(tokenA[1:])}
		}),
	},
	{
		name: "token in another place", does: "the token in the query, a cookie, another scheme, X-Api-Key; two Authorization headers", must: "401, and the log does not have it",
		run: func(t *testing.T, w *world) {
			refusedWith("bearer", func(string) [][]string {
				return [][]string{
					{"Cookie", "token=" + tokenA},
					{"X-Api-Key", tokenA},
					{"Authorization", "Token " + tokenA},
					{"Authorization", tokenA},
					{"Authorization", "Bearer"},
					{"Proxy-Authorization", "Bearer " + tokenA},
					{"Authorization", "Bearer " + tokenA, "Authorization", "Bearer x"},
					{"Authorization", "Bearer " + tokenA + ",Bearer x"},
				}
			})(t, w)
			w.plain.mustPost(t, "bearer?token="+tokenA+"&access_token="+tokenA, "{}").mustBe(t, 401)
			if strings.Contains(w.plain.read(t, "gateway.log"), tokenA) {
				t.Error("the token is in the log")
			}
		},
	},
	{
		name: "forged identity", does: "headers by which proxies name users and certificates: X-Remote-User, X-Forwarded-Client-Cert, X-SSL-Client-Verify", must: "401",
		run: func(t *testing.T, w *world) {
			forged := []string{
				"X-Remote-User", "system:admin", "X-Remote-Group", "system:masters", "Impersonate-User", "system:admin", "X-SSL-Client-Verify", "SUCCESS",
				"X-Forwarded-Client-Cert", "Subject=CN=am;URI=spiffe://x;DNS=am.monitoring.svc", "X-Forwarded-User", "ana",
			}
			for _, source := range []string{"bearer", "basic", "cluster", "hmac"} {
				refusedWith(source, func(string) [][]string { return [][]string{forged} })(t, w)
			}
			w.tls.mustPost(t, "mtls", alert(unique(), "cart"), forged...).mustBe(t, 401)
		},
	},
	{
		name: "expired timestamp", does: "a signed request of 61 s ago, and of 1970", must: "401",
		run: refusedWith("timed", func(body string) [][]string {
			return [][]string{signed(body, time.Now().Add(-65*time.Second)), signed(body, time.Unix(1, 0))}
		}),
	},
	{
		name: "future timestamp", does: "a signed request of 65 s ahead, and of the year 9999; times that are none", must: "401",
		run: refusedWith("timed", func(body string) [][]string {
			all := [][]string{signed(body, time.Now().Add(65*time.Second)), signed(body, time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC))}
			for _, text := range []string{"", "-1", "1e9", "99999999999999999999", " 1", "now", "0x1"} {
				headers := signed(body, time.Now())
				headers[3] = text
				all = append(all, headers)
			}
			return all
		}),
	},
	{
		name: "timestamp moved", does: "an old signature with a new timestamp, two timestamps, none", must: "401",
		run: refusedWith("timed", func(body string) [][]string {
			old := signed(body, time.Now().Add(-time.Hour))
			old[3] = strconv.FormatInt(time.Now().Unix(), 10)
			fresh := signed(body, time.Now())
			return [][]string{old, append(fresh, timestamp, old[3]), fresh[:2], signed(body, time.Time{})}
		}),
	},
	{
		name: "replay", does: "a signed request is sent again, within its time and with the same signature over other bodies", must: "one request in the cluster; another body is 401",
		run: func(t *testing.T, w *world) {
			name := unique()
			body := alert(name, "cart")
			headers := signed(body, time.Now())
			w.plain.mustPost(t, "timed", body, headers...).mustBe(t, 201)
			for range 10 {
				w.plain.mustPost(t, "timed", body, headers...).mustBe(t, 202)
			}
			w.plain.mustPost(t, "timed", body+" ", headers...).mustBe(t, 401)
			w.plain.mustHaveOne(t, name)
		},
	},
	{
		name: "algorithm of the sender's choice", does: "sha1=, sha512=, md5=, none=, an empty signature, half of one, two of them", must: "401",
		run: refusedWith("hmac", func(body string) [][]string {
			right := signed(body, time.Time{})[1]
			return [][]string{
				{signature, "sha1=" + right[:40]},
				{signature, "sha512=" + right + right},
				{signature, "md5=" + right[:32]},
				{signature, "none="},
				{signature, ""},
				{signature, right[:32]},
				{signature, right + right},
				{signature, right, signature, right},
				{signature, "sha256=sha256=" + right},
				{signature, strings.Repeat("0", 64)},
			}
		}),
	},
	{
		name: "JSON Web Tokens", does: "tokens with alg none, with HS256 by an empty key, and with another issuer, to a source for the cluster's tokens", must: "401",
		run: refusedWith("cluster", func(string) [][]string {
			part := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
			claims := part(`{"iss":"https://kubernetes.default.svc","sub":"system:serviceaccount:kube-system:admin","aud":["https://kubernetes.default.svc"],"exp":4102444800}`)
			mac := hmac.New(sha256.New, nil)
			mac.Write([]byte(part(`{"alg":"HS256"}`) + "." + claims))
			return [][]string{
				bearer(part(`{"alg":"none"}`) + "." + claims + "."), bearer(part(`{"alg":"HS256"}`) + "." + claims + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))), bearer("a.b.c"),
			}
		}),
	},
	{
		name: "oracle", does: "credentials are missing, wrong, malformed, of nobody, with a wrong password", must: "the answers are the same but for the request ID",
		run: func(t *testing.T, w *world) {
			for source, each := range map[string][][]string{
				"bearer": {nil, bearer(tokenB), bearer("%%%"), bearer("")}, "basic": {nil, basic("ana", "x"), basic("eve", password), {"Authorization", "Basic %"}},
				"timed": {nil, signed("x", time.Now()), signed("{}", time.Now().Add(-time.Hour)), {signature, "x"}},
			} {
				told := make(map[string]bool)
				for _, headers := range each {
					a := w.plain.mustPost(t, source, "{}", headers...)
					told[strings.ReplaceAll(a.body, a.header.Get("X-Request-Id"), "ID")] = true
				}
				if len(told) != 1 {
					t.Errorf("%s answers %v", source, told)
				}
			}
		},
	},
	{
		name: "timing, tokens", does: "300 tokens that are wrong from the first, and 300 from the last character", must: "their medians differ by less than 30 % (a coarse look)", alone: true,
		run: func(t *testing.T, w *world) {
			early, late := "x"+tokenA[1:], tokenA[:len(tokenA)-1]+"x"
			w.compare(t, "bearer", 300, 30, func(int) []string { return bearer(early) }, func(int) []string { return bearer(late) })
		},
	},
	{
		name: "timing, users", does: "passwords for a user that there is, and for users that there are not", must: "their medians differ by less than half: both cost a bcrypt", alone: true,
		run: func(t *testing.T, w *world) {
			w.compare(t, "basic", 15, 50, func(i int) []string { return basic("ana", fmt.Sprint("wrong", i)) }, func(i int) []string { return basic(fmt.Sprint("eve", i), "wrong") })
		},
	},
	{
		name: "trying passwords", does: "100 passwords are tried, 20 at a time", must: "each is refused, and who was let in before is let in at once meanwhile", alone: true,
		run: func(t *testing.T, w *world) {
			body := alert(unique(), "cart")
			w.plain.mustPost(t, "basic", body, basic("ana", password)...).mustBe(t, 201)
			var wait sync.WaitGroup
			for n := range 20 {
				wait.Go(func() {
					for i := range 5 {
						w.plain.mustTry(t, "basic", basic("ana", fmt.Sprintf("guess-%d-%d", n, i)))
					}
				})
			}
			for range 20 {
				began := time.Now()
				w.plain.mustPost(t, "basic", body, basic("ana", password)...).mustBe(t, 202)
				if took := time.Since(began); took > 3*time.Second {
					t.Errorf("waited for %v", took)
				}
			}
			wait.Wait()
		},
	},
	{
		name: "long credentials", does: "a password of 60 kB, one of 72 bytes with more behind it, a user of 10 kB, a NUL in it", must: "401",
		run: refusedWith("basic", func(string) [][]string {
			return [][]string{
				basic("ana", strings.Repeat("x", 40_000)), basic("ana", password+strings.Repeat("x", 80)), basic(strings.Repeat("a", 10_000), password),
				basic("ana", password+"\x00"), basic("ana\x00", password), basic("ana", ""),
			}
		}),
	},
}

// mustTry posts credentials that have to be refused.
func (g *target) mustTry(t *testing.T, source string, headers []string) {
	t.Helper()
	a, err := g.ask(t, http.MethodPost, g.hooks, "/webhook/"+source, "{}", headers...)
	if err != nil {
		t.Error(err)
		return
	}
	a.mustBe(t, 401, 503)
}

// compare looks whether it takes as long to refuse the one as the other, within so
// many percent, in one of three rounds: a machine that is busy makes one differ.
func (w *world) compare(t *testing.T, source string, n int, percent float64, one, other func(i int) []string) {
	t.Helper()
	round := 0
	median := func(which func(i int) []string, took *[]time.Duration, i int) {
		began := time.Now()
		w.plain.mustPost(t, source, "{}", which(round*n+i)...).mustBe(t, 401)
		*took = append(*took, time.Since(began))
	}
	var differ float64
	for ; round < 3; round++ {
		var a, b []time.Duration
		for i := range n {
			median(one, &a, i)
			median(other, &b, i)
		}
		slices.Sort(a)
		slices.Sort(b)
		x, y := float64(a[n/2]), float64(b[n/2])
		differ = 100 * (max(x, y) - min(x, y)) / max(x, y)
		t.Logf("medians %v and %v", a[n/2], b[n/2])
		if differ < percent {
			return
		}
	}
	t.Errorf("medians differ by %.0f %%", differ)
}
