package auth_test

import (
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"kubernaut.io/gateway/ingress/auth"
)

// What openssl dgst makes of signedBody, with "1700000000:" before it and
// without.
const (
	signedBody    = `{"a":1}`
	secretOne     = "0123456789abcdef"
	bodyByOne     = "1c76fbb930d3aa8b1633728fae212c68ca68a6752bb319b98be6fe17e86cf5b8"
	stampedByOne  = "457861bd1441046d6cda600fa000373809b11fb0ebae53df9adda9048e2ee176"
	sha1ByOne     = "1f377045343467ecf983c70129426674b8f88e69"
	secretTwo     = "fedcba9876543210"
	bodyByTwo     = "3e2d18b789946b2a57f56d9f25d75cd9e4c34bec22e25a62c3e9dda2d6f91bd5"
	stamp         = 1700000000
	signature     = "X-Webhook-Signature"
	grafana       = "X-Grafana-Alerting-Signature"
	hmacMalformed = "prometheus hmac malformed"
	hmacWrong     = "prometheus hmac wrong"
)

func mustHMAC(tb testing.TB, o auth.HMACOptions) *auth.HMAC {
	tb.Helper()
	if o.Tolerance == 0 {
		o.Tolerance = 5 * time.Minute
	}
	h, err := auth.NewHMAC(o)
	if err != nil {
		tb.Fatal(err)
	}
	return h
}

func TestHMAC(t *testing.T) {
	r := mustAny(t, mustHMAC(t, auth.HMACOptions{SecretFile: mustFile(t, secretTwo+"\n"+secretOne+"\n"), Header: "x-webhook-signature"}))
	for name, a := range map[string]attempt{
		"with a prefix":       {[]string{signature, "sha256=" + bodyByOne}, 0, ""},
		"bare":                {[]string{signature, bodyByOne}, 0, ""},
		"in upper case":       {[]string{signature, "SHA256=" + strings.ToUpper(bodyByOne)}, 0, ""},
		"by the other secret": {[]string{signature, bodyByTwo}, 0, ""},
		"none":                {nil, 401, "prometheus any missing"},
		"another header":      {[]string{grafana, bodyByOne}, 401, "prometheus any missing"},
		"empty":               {[]string{signature, ""}, 401, hmacMalformed},
		"a prefix alone":      {[]string{signature, "sha256="}, 401, hmacMalformed},
		"a prefix twice":      {[]string{signature, "sha256=sha256=" + bodyByOne}, 401, hmacMalformed},
		"half of it":          {[]string{signature, bodyByOne[:32]}, 401, hmacMalformed},
		"more than it":        {[]string{signature, bodyByOne + "00"}, 401, hmacMalformed},
		"no hex":              {[]string{signature, "g" + bodyByOne[1:]}, 401, hmacMalformed},
		"two":                 {[]string{signature, bodyByOne, signature, bodyByOne}, 401, hmacMalformed},
		"another algorithm":   {[]string{signature, "sha1=" + sha1ByOne}, 401, hmacMalformed},
		"SHA-1 called 256":    {[]string{signature, "sha256=" + sha1ByOne}, 401, hmacMalformed},
		"SHA-256 called 1":    {[]string{signature, "sha1=" + bodyByOne}, 401, hmacMalformed},
		"of another body":     {[]string{signature, stampedByOne}, 401, hmacWrong},
		"a timestamp that nobody asked for": {
			[]string{signature, stampedByOne, "X-Webhook-Timestamp", strconv.Itoa(stamp)}, 401, hmacWrong,
		},
	} {
		t.Run(name, func(t *testing.T) { a.try(t, r, signedBody) })
	}
	if got := r.Challenges(); len(got) != 1 || got[0] != `HMAC-SHA256 realm="gateway", header="X-Webhook-Signature"` {
		t.Errorf("challenges %q", got)
	}
}

func TestGrafanasTimestamp(t *testing.T) {
	const header = "X-Grafana-Alerting-Timestamp"
	const stale = "prometheus hmac stale"
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Unix(stamp, 0)))
		r := mustAny(t, mustHMAC(t, auth.HMACOptions{SecretFile: mustFile(t, secretOne), Header: grafana, TimestampHeader: header}))
		signed := []string{grafana, stampedByOne, header, strconv.Itoa(stamp)}
		for _, a := range []attempt{
			{signed, 0, ""},
			{[]string{grafana, stampedByOne}, 401, hmacMalformed},
			{[]string{grafana, bodyByOne}, 401, hmacMalformed},
			{[]string{grafana, bodyByOne, header, strconv.Itoa(stamp)}, 401, hmacWrong},
			{[]string{grafana, stampedByOne, header, strconv.Itoa(stamp + 1)}, 401, hmacWrong},
			{[]string{grafana, stampedByOne, header, "0" + strconv.Itoa(stamp)}, 401, hmacWrong},
			{[]string{grafana, stampedByOne, header, strconv.Itoa(stamp - 300)}, 401, hmacWrong},
			{[]string{grafana, stampedByOne, header, strconv.Itoa(stamp + 300)}, 401, hmacWrong},
			{[]string{grafana, stampedByOne, header, strconv.Itoa(stamp - 301)}, 401, stale},
			{[]string{grafana, stampedByOne, header, strconv.Itoa(stamp + 301)}, 401, stale},
			{[]string{grafana, stampedByOne, header, strconv.Itoa(stamp) + "000"}, 401, hmacMalformed},
			{[]string{grafana, stampedByOne, header, "-1"}, 401, hmacMalformed},
			{[]string{grafana, stampedByOne, header, "999999999999"}, 401, stale},
			{[]string{grafana, stampedByOne, header, "now"}, 401, hmacMalformed},
			{append([]string{header, strconv.Itoa(stamp)}, signed...), 401, hmacMalformed},
		} {
			a.try(t, r, signedBody)
		}
		time.Sleep(5 * time.Minute)
		attempt{signed, 0, ""}.try(t, r, signedBody)
		time.Sleep(time.Second)
		attempt{signed, 401, stale}.try(t, r, signedBody)
	})
}

func TestSecretFiles(t *testing.T) {
	for name, test := range map[string]struct{ text, want string }{
		"empty":    {" \n", "there is nothing in it"},
		"short":    {"secret\n", "line 1: this secret is shorter than 16 bytes"},
		"too many": {strings.Repeat(secretOne+"\n", 17), "line 17: there are more than 16 secrets"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := auth.NewHMAC(auth.HMACOptions{SecretFile: mustFile(t, test.text), Header: signature, Tolerance: time.Minute})
			refused(t, err, test.want, secretOne)
		})
	}
}

// A body that nobody has signed is not read.
func TestTheBodyIsReadForAGoodHeaderAlone(t *testing.T) {
	r := mustAny(t, mustHMAC(t, auth.HMACOptions{SecretFile: mustFile(t, secretOne), Header: signature}))
	for header, wanted := range map[string]bool{bodyByTwo: true, "sha1=" + sha1ByOne: false} {
		check, err := r.Authenticate(request(signature, header))
		if (check != nil) != wanted || (err == nil) != wanted {
			t.Errorf("%s: a body is wanted: %t (%v)", header, check != nil, err)
		}
	}
}
