package auth_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"log/slog"
	"net/http"
	"testing"
	"time"

	gateway "kubernaut.io/gateway"
	"kubernaut.io/gateway/ingress"
	"kubernaut.io/gateway/ingress/auth"
)

type duplicates struct{}

func (duplicates) Process(_ context.Context, signals []gateway.Signal) []gateway.Decision {
	decisions := make([]gateway.Decision, len(signals))
	for i := range decisions {
		decisions[i] = gateway.Decision{Outcome: gateway.Duplicate, Reason: gateway.ReasonEpisodeOpen, Request: "rr-1", Occurrences: 2}
	}
	return decisions
}

type silent struct{}

func (silent) Began()                              {}
func (silent) Answered(string, int, time.Duration) {}
func (silent) Truncated(string, int)               {}
func (silent) Limited(string, string)              {}

// nowhere is a response that nobody reads.
type nowhere struct{ header http.Header }

func (n nowhere) Header() http.Header         { return n.header }
func (n nowhere) Write(p []byte) (int, error) { return len(p), nil }
func (n nowhere) WriteHeader(int)             {}

// BenchmarkHandler is what credentials add to a webhook of 4 KiB, remembered
// where they are, without a connection or a decoder.
func BenchmarkHandler(b *testing.B) {
	body := bytes.Repeat([]byte(" "), 4096)
	mac := hmac.New(sha256.New, []byte(secretOne))
	mac.Write(body)
	users := line(b, "ana", "swordfish", 10)
	for _, test := range []struct {
		name   string
		who    ingress.Authenticator
		header []string
	}{
		{"none", ingress.None{}, nil},
		{"bearer", mustAny(b, mustBearer(b, mustFile(b, tokenOne))), bearer(tokenOne)},
		{"hmac", mustAny(b, mustHMAC(b, auth.HMACOptions{SecretFile: mustFile(b, secretOne), Header: signature})), []string{signature, hex.EncodeToString(mac.Sum(nil))}},
		{"basic", mustAny(b, mustBasic(b, mustFile(b, users))), basic("ana", "swordfish")},
		{"kubernetes", mustAny(b, mustKubernetes(b, &cluster{answer: byToken}, "/webhook/prometheus")), bearer("good")},
	} {
		b.Run(test.name, func(b *testing.B) {
			handler, err := ingress.New(ingress.Options{
				Sources: []ingress.Source{{Name: "prometheus", Authenticate: test.who, Decode: func([]byte) (gateway.Batch, error) {
					return gateway.Batch{Signals: make([]gateway.Signal, 1)}, nil
				}}},
				Processor: duplicates{}, Observer: silent{}, Logger: slog.New(slog.DiscardHandler), Namespace: "kubernaut-system",
			})
			if err != nil {
				b.Fatal(err)
			}
			r := request(test.header...)
			r.ContentLength = int64(len(body))
			b.ReportAllocs()
			for b.Loop() {
				r.Body = io.NopCloser(bytes.NewReader(body))
				handler.ServeHTTP(nowhere{make(http.Header)}, r)
			}
		})
	}
}
