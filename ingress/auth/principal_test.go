package auth_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"log/slog"
	"net/http/httptest"
	"testing"

	"kubernaut.io/gateway"
	"kubernaut.io/gateway/ingress"
	"kubernaut.io/gateway/ingress/auth"
)

// TestPrincipal tells the audit whom the credentials stand for, each time, and
// nothing of who was refused.
func TestPrincipal(t *testing.T) {
	body := []byte("{}")
	mac := hmac.New(sha256.New, []byte(secretOne))
	mac.Write(body)
	who := mustAny(t,
		mustBearer(t, mustFile(t, tokenOne)), mustBasic(t, mustFile(t, line(t, "ana", "swordfish", 4))),
		mustHMAC(t, auth.HMACOptions{SecretFile: mustFile(t, secretOne), Header: signature}),
		mustKubernetes(t, &cluster{answer: byToken}, "/webhook/prometheus"))
	var principal string
	handler, err := ingress.New(ingress.Options{
		Sources: []ingress.Source{{Name: "prometheus", Authenticate: who, Decode: func([]byte) (gateway.Batch, error) {
			return gateway.Batch{Signals: make([]gateway.Signal, 1)}, nil
		}}},
		Processor: duplicates{}, Observer: silent{}, Logger: slog.New(slog.DiscardHandler), Namespace: "kubernaut-system",
		Exchanged: func(x ingress.Exchange) { principal = x.Principal },
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		header []string
		want   string
	}{
		{basic("ana", "swordfish"), "ana"},
		{basic("ana", "swordfish"), "ana"},
		{basic("ana", "wrong"), ""},
		{bearer(tokenOne), "bearer"},
		{[]string{signature, hex.EncodeToString(mac.Sum(nil))}, "hmac"},
		{bearer("good"), "system:serviceaccount:monitoring:alertmanager"},
		{bearer("good"), "system:serviceaccount:monitoring:alertmanager"},
		{bearer("may-not"), ""},
	} {
		principal = "nobody was told"
		r := request(test.header...)
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		handler.ServeHTTP(httptest.NewRecorder(), r)
		if principal != test.want {
			t.Errorf("%q: %q, want %q", test.header, principal, test.want)
		}
	}
}
