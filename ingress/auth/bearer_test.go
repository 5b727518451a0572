package auth_test

import (
	"strings"
	"testing"

	"kubernaut.io/gateway/ingress/auth"
)

const (
	tokenOne = "0123456789abcdef-one"
	tokenTwo = "0123456789abcdef-two=="
)

func mustBearer(tb testing.TB, path string) *auth.Bearer {
	tb.Helper()
	b, err := auth.NewBearer(path)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func TestBearer(t *testing.T) {
	r := mustAny(t, mustBearer(t, mustFile(t, "# first\n"+tokenOne+"\r\n\n  "+tokenTwo+"  \n")))
	const missing, malformed, wrong = "prometheus any missing", "prometheus bearer malformed", "prometheus bearer wrong"
	for name, a := range map[string]attempt{
		"the first":            {[]string{"Authorization", "Bearer " + tokenOne}, 0, ""},
		"the second":           {[]string{"Authorization", "Bearer " + tokenTwo}, 0, ""},
		"scheme in lower case": {[]string{"Authorization", "bearer  " + tokenOne}, 0, ""},
		"none":                 {nil, 401, missing},
		"no token":             {[]string{"Authorization", "Bearer"}, 401, missing},
		"an empty token":       {[]string{"Authorization", "Bearer "}, 401, malformed},
		"another":              {[]string{"Authorization", "Bearer " + tokenOne + "x"}, 401, wrong},
		"a part":               {[]string{"Authorization", "Bearer " + tokenOne[:19]}, 401, wrong},
		"a comment":            {[]string{"Authorization", "Bearer # first"}, 401, malformed},
		"another scheme":       {[]string{"Authorization", "Basic " + tokenOne}, 401, missing},
		"two headers":          {[]string{"Authorization", "Bearer " + tokenOne, "Authorization", "Bearer " + tokenTwo}, 401, missing},
	} {
		t.Run(name, func(t *testing.T) { a.try(t, r, "") })
	}
	if got := r.Challenges(); len(got) != 1 || got[0] != `Bearer realm="gateway"` {
		t.Errorf("challenges %q", got)
	}
}

func TestTokenFiles(t *testing.T) {
	for name, test := range map[string]struct{ text, want string }{
		"empty":         {"\n# nothing\n", "there is nothing in it"},
		"short":         {tokenOne + "\nsecret\n", "line 2: this token is shorter than 16 characters"},
		"two on a line": {"secret-secret-secret secret-secret-secret", "line 1: this is not a token"},
		"too many":      {strings.Repeat(tokenOne+"\n", 17), "line 17: there are more than 16 tokens"},
		"too large":     {strings.Repeat(" ", 1<<20+1), "larger than 1048576 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := auth.NewBearer(mustFile(t, test.text))
			refused(t, err, test.want, "secret-", tokenOne)
		})
	}
	if _, err := auth.NewBearer("/nowhere/tokens"); err == nil {
		t.Error("a file that is not there is taken")
	}
}

func TestABrokenFileLeavesTheLastGoodOneInForce(t *testing.T) {
	path := mustFile(t, tokenOne)
	b := mustBearer(t, path)
	r := mustAny(t, b)
	one, two := attempt{headers: []string{"Authorization", "Bearer " + tokenOne}}, attempt{headers: []string{"Authorization", "Bearer " + tokenTwo}}
	reload := func(text string, wantNews, wantError bool) {
		t.Helper()
		mustWrite(t, path, text)
		if news, err := b.Reload(); news != wantNews || (err != nil) != wantError {
			t.Errorf("reload of %q: news %t, error %v", text, news, err)
		}
	}
	reload(tokenOne, false, false)
	for _, broken := range []string{"", "short", tokenTwo + "\nshort"} {
		reload(broken, false, true)
		one.try(t, r, "")
	}
	reload(tokenOne+"\n"+tokenTwo, true, false)
	one.try(t, r, "")
	two.try(t, r, "")
	reload(tokenTwo, true, false)
	two.try(t, r, "")
	one.status, one.told = 401, "prometheus bearer wrong"
	one.try(t, r, "")
}
