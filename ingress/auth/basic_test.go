package auth_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/bcrypt"

	"kubernaut.io/gateway/ingress/auth"
)

// ana is a user whose password is swordfish, as crypt(3) hashes it.
const ana = "ana:$2y$04$abcdefghijklmnopqrstuugIEnm3ZbWF6xb2GcoE3L1CoGJFMKtu."

const basicWrong = "prometheus basic wrong"

func mustBasic(tb testing.TB, path string) *auth.Basic {
	tb.Helper()
	b, err := auth.NewBasic(path, auth.NewSlots(auth.ComparesAtOnce))
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// line is a user as htpasswd writes one.
func line(tb testing.TB, user, password string, cost int) string {
	tb.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), cost)
	if err != nil {
		tb.Fatal(err)
	}
	return user + ":" + string(hash) + "\n"
}

func basic(user, password string) []string {
	return []string{"Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))}
}

func TestBasic(t *testing.T) {
	r := mustAny(t, mustBasic(t, mustFile(t, "# people\n"+ana+"\n\n"+line(t, "bob", "päss:word", 5))))
	for name, a := range map[string]attempt{
		"good":                  {basic("ana", "swordfish"), 0, ""},
		"another user":          {basic("bob", "päss:word"), 0, ""},
		"wrong":                 {basic("ana", "Swordfish"), 401, basicWrong},
		"another's":             {basic("bob", "swordfish"), 401, basicWrong},
		"empty":                 {basic("ana", ""), 401, basicWrong},
		"nobody":                {basic("eve", "swordfish"), 401, basicWrong},
		"no name":               {basic("", "swordfish"), 401, basicWrong},
		"no colon":              {[]string{"Authorization", "Basic YW5h"}, 401, "prometheus basic malformed"},
		"no base64":             {[]string{"Authorization", "Basic %"}, 401, "prometheus basic malformed"},
		"very long":             {basic("ana", strings.Repeat("a", 2000)), 401, "prometheus basic malformed"},
		"another scheme":        {[]string{"Authorization", "Bearer YW5hOnN3b3JkZmlzaA=="}, 401, "prometheus any missing"},
		"the hash as it stands": {basic("ana", strings.TrimPrefix(ana, "ana:")), 401, basicWrong},
	} {
		t.Run(name, func(t *testing.T) {
			for range 2 { // the second from memory
				a.try(t, r, "")
			}
		})
	}
	if got := r.Challenges(); len(got) != 1 || got[0] != `Basic realm="gateway", charset="UTF-8"` {
		t.Errorf("challenges %q", got)
	}
}

func TestUserFiles(t *testing.T) {
	for name, test := range map[string]struct{ text, want string }{
		"empty":         {"#\n", "there is nothing in it"},
		"no hash":       {"ana\n", "line 1: this is no user"},
		"no name":       {":" + ana, "line 1: this is no user"},
		"twice":         {ana + "\n" + ana, `line 2: user "ana" is there already`},
		"MD5":           {"ana:$apr1$abcdefgh$zA74VGoqbkayW1QEvcnUk1", `line 1: user "ana": the hash is MD5 (apr1), and bcrypt alone is taken; make it with: htpasswd -nB USER`},
		"SHA-512":       {"ana:$6$abcdefgh$nXozMQ7eIF4OiwaKAhepst9mtOKKwNBYsZ.fglGECyVpFcHnUxZl1rg3LFqBimZ7VM0sJWgFd.52RjaQ/cpR90", "the hash is SHA-512 (crypt)"},
		"SHA-1":         {"ana:{SHA}YuMhY8ioX61LzJ7dcnYpDSkBJAM=", "the hash is SHA-1"},
		"flawed":        {strings.Replace(ana, "2y", "2x", 1), "the hash is bcrypt of a version with a flaw (2x)"},
		"plain":         {"ana:swordfish", "there is no bcrypt hash, it may be crypt or plain text"},
		"cut":           {ana[:len(ana)-1], "there is no bcrypt hash"},
		"too dear":      {strings.Replace(ana, "$04$", "$15$", 1), "a cost of 15 is not from 4 to 14"},
		"too cheap":     {strings.Replace(ana, "$04$", "$03$", 1), "a cost of 3 is not from 4 to 14"},
		"a long name":   {strings.Repeat("a", 257) + ana, "longer than 256 bytes"},
		"a long crowd":  {crowd(1001), "line 1001: there are more than 1000 users"},
		"a good second": {"bob:swordfish\n" + ana, "line 1: "},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := auth.NewBasic(mustFile(t, test.text), auth.NewSlots(1))
			refused(t, err, test.want, "swordfish", "abcdefgh")
		})
	}
}

func crowd(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "user%d%s\n", i, strings.TrimPrefix(ana, "ana"))
	}
	return b.String()
}

// A password is hashed once, however many requests come with it, and what is
// remembered goes with its line in the file.
func TestPasswordsAreNotHashedForEachRequest(t *testing.T) {
	path := mustFile(t, line(t, "ana", "swordfish", 10))
	b := mustBasic(t, path)
	r := mustAny(t, b)
	good := request(basic("ana", "swordfish")...)
	began := time.Now()
	r.ask(t, good, "")
	once := time.Since(began)
	began = time.Now()
	var senders sync.WaitGroup
	for range 8 {
		senders.Go(func() {
			for range 1000 {
				if code, _ := r.ask(t, good, ""); code != 0 {
					t.Errorf("status %d", code)
				}
			}
		})
	}
	senders.Wait()
	if took := time.Since(began); took > 100*once {
		t.Errorf("one request took %v, 8000 more %v", once, took)
	}
	mustWrite(t, path, line(t, "ana", "another", 4))
	if _, err := b.Reload(); err != nil {
		t.Fatal(err)
	}
	attempt{basic("ana", "swordfish"), 401, basicWrong}.try(t, r, "")
	attempt{basic("ana", "another"), 0, ""}.try(t, r, "")
}

// Who is no user is refused after as much work as who is, so that nobody learns
// who is one.
func TestUnknownUsersTakeAsLong(t *testing.T) {
	const cost = 7
	r := mustAny(t, mustBasic(t, mustFile(t, line(t, "ana", "swordfish", cost))))
	fastest := func(user string) time.Duration {
		best := time.Hour
		for i := range 5 {
			began := time.Now()
			attempt{basic(user, fmt.Sprint("wrong", i)), 401, basicWrong}.try(t, r, "")
			best = min(best, time.Since(began))
		}
		return best
	}
	known, unknown := fastest("ana"), fastest("eve")
	if unknown < known/10 { // without the work it would be a thousandth
		t.Errorf("a user is refused after %v, and who is none after %v", known, unknown)
	}
}

func TestAPasswordIsForgottenInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := mustAny(t, mustBasic(t, mustFile(t, ana)))
		for range 3 {
			attempt{basic("ana", "swordfish"), 0, ""}.try(t, r, "")
			attempt{basic("ana", "wrong"), 401, basicWrong}.try(t, r, "")
			time.Sleep(11 * time.Minute)
		}
	})
}
