package auth_test

import (
	"slices"
	"testing"
	"time"

	"kubernaut.io/gateway/ingress/auth"
)

// Any one of several kinds suffices, and the failure that says most is told.
func TestAnyOneSuffices(t *testing.T) {
	c := &cluster{answer: byToken}
	r := mustAny(t,
		mustKubernetes(t, c, "/webhook/prometheus"), mustBasic(t, mustFile(t, ana)),
		mustHMAC(t, auth.HMACOptions{SecretFile: mustFile(t, secretOne), Header: signature, Tolerance: time.Minute}),
		mustBearer(t, mustFile(t, tokenOne)), mustBearer(t, mustFile(t, tokenTwo)))
	signed := []string{signature, bodyByOne}
	wrong := []string{signature, bodyByTwo}
	for name, a := range map[string]attempt{
		"none":                        {nil, 401, "prometheus any missing"},
		"a token":                     {bearer(tokenOne), 0, ""},
		"a token of the second":       {bearer(tokenTwo), 0, ""},
		"a token of the cluster":      {bearer("good"), 0, ""},
		"a password":                  {basic("ana", "swordfish"), 0, ""},
		"a signature":                 {signed, 0, ""},
		"a signature, wrong password": {append(basic("ana", "x"), signed...), 0, ""},
		"a password, wrong signature": {append(basic("ana", "swordfish"), wrong...), 0, ""},
		"both wrong":                  {append(basic("ana", "x"), wrong...), 401, "prometheus basic wrong, prometheus hmac wrong"},
		"forbidden above wrong": {
			append(bearer("may-not"), wrong...), 403,
			"prometheus bearer wrong, prometheus kubernetes forbidden, prometheus hmac wrong",
		},
		"unavailable above all": {
			append(bearer("away"), wrong...), 503,
			"prometheus bearer wrong, prometheus kubernetes unavailable, prometheus hmac wrong",
		},
	} {
		t.Run(name, func(t *testing.T) { a.try(t, r, signedBody) })
	}
	c.times()
	attempt{bearer(tokenOne), 0, ""}.try(t, r, "")
	if n := c.times(); n != 0 {
		t.Error("the API server is asked about a token that a file has")
	}
	want := []string{
		`Bearer realm="gateway"`, `HMAC-SHA256 realm="gateway", header="X-Webhook-Signature"`, `Basic realm="gateway", charset="UTF-8"`,
	}
	if got := r.Challenges(); !slices.Equal(got, want) {
		t.Errorf("challenges %q, want %q", got, want)
	}
}

func TestOptions(t *testing.T) {
	for name, o := range map[string]auth.Options{
		"no source":   {Observer: &observer{}, Methods: []auth.Method{mustBearer(t, mustFile(t, tokenOne))}},
		"no observer": {Source: "a", Methods: []auth.Method{mustBearer(t, mustFile(t, tokenOne))}},
		"no method":   {Source: "a", Observer: &observer{}},
	} {
		if _, err := auth.New(o); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}
