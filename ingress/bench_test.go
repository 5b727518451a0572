package ingress_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	gateway "kubernaut.io/gateway"
	"kubernaut.io/gateway/ingress"
)

// webhookBody is the fixture's webhook with its alert repeated count times.
func webhookBody(tb testing.TB, count int) []byte {
	tb.Helper()
	fixture, err := os.ReadFile("../test/fixtures/prometheus-alert.json")
	if err != nil {
		tb.Fatal(err)
	}
	var sent map[string]any
	if err := json.Unmarshal(fixture, &sent); err != nil {
		tb.Fatal(err)
	}
	alerts, _ := sent["alerts"].([]any)
	for range count - 1 {
		alerts = append(alerts, alerts[0])
	}
	sent["alerts"] = alerts
	body, err := json.Marshal(sent)
	if err != nil {
		tb.Fatal(err)
	}
	return body
}

type webhook struct {
	Alerts []struct {
		Status      string            `json:"status"`
		Labels      map[string]string `json:"labels"`
		Annotations map[string]string `json:"annotations"`
		StartsAt    time.Time         `json:"startsAt"`
		EndsAt      time.Time         `json:"endsAt"`
	} `json:"alerts"`
}

func decodeAlerts(body []byte) (gateway.Batch, error) {
	var sent webhook
	if err := json.Unmarshal(body, &sent); err != nil {
		return gateway.Batch{}, err
	}
	batch := gateway.Batch{Signals: make([]gateway.Signal, len(sent.Alerts))}
	for i, a := range sent.Alerts {
		batch.Signals[i] = gateway.Signal{Name: a.Labels["alertname"], Labels: a.Labels, Annotations: a.Annotations, StartsAt: a.StartsAt}
	}
	return batch, nil
}

// duplicates is a processor that costs nothing.
type duplicates struct{}

func (duplicates) Process(_ context.Context, signals []gateway.Signal) []gateway.Decision {
	decisions := make([]gateway.Decision, len(signals))
	for i := range decisions {
		decisions[i] = gateway.Decision{
			Outcome: gateway.Duplicate, Reason: gateway.ReasonEpisodeOpen, Fingerprint: gateway.Fingerprint{1},
			Request: "rr-0123456789abcdef0123456789abcdef01234567", Occurrences: 1234,
			Environment: gateway.Production, Priority: gateway.P1, Path: gateway.Conservative,
		}
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

// BenchmarkWebhook compares the handler with one that reads, decodes and counts
// alone; neither stands behind a connection, which would cost both the same.
func BenchmarkWebhook(b *testing.B) {
	o := ingress.Options{
		Sources:   []ingress.Source{{Name: "prometheus", Decode: decodeAlerts, Authenticate: ingress.None{}}},
		Processor: duplicates{}, Observer: silent{}, Logger: slog.New(slog.DiscardHandler), Namespace: "kubernaut-system",
	}
	handler, err := ingress.New(o)
	if err != nil {
		b.Fatal(err)
	}
	o.Exchanged = func(ingress.Exchange) {}
	exchanging, err := ingress.New(o)
	if err != nil {
		b.Fatal(err)
	}
	bare := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			b.Error(err)
		}
		batch, err := decodeAlerts(body)
		if err != nil {
			b.Error(err)
		}
		_, _ = io.WriteString(w, strconv.Itoa(len(batch.Signals)))
	})
	for name, h := range map[string]http.Handler{"bare": bare, "handler": handler, "exchanging": exchanging} {
		for _, alerts := range []int{1, 10, 100} {
			b.Run(name+"/"+strconv.Itoa(alerts), func(b *testing.B) {
				body := webhookBody(b, alerts)
				r, err := http.NewRequestWithContext(b.Context(), "POST", "/webhook/prometheus", http.NoBody)
				if err != nil {
					b.Fatal(err)
				}
				r.Header.Set("Content-Type", "application/json")
				r.ContentLength = int64(len(body))
				b.ReportAllocs()
				for b.Loop() {
					r.Body = io.NopCloser(bytes.NewReader(body))
					h.ServeHTTP(nowhere{make(http.Header)}, r)
				}
			})
		}
	}
}

// BenchmarkOverloaded is what it takes to refuse a batch of a thousand alerts
// when all or nearly all that may be in flight is in flight.
func BenchmarkOverloaded(b *testing.B) {
	for name, free := range map[string]int64{"full": 0, "no room for the batch": 999} {
		b.Run(name, func(b *testing.B) {
			held := newBlocking()
			handler, err := ingress.New(ingress.Options{
				Sources:   []ingress.Source{{Name: "prometheus", Decode: decodeAlerts, Authenticate: ingress.None{}}},
				Processor: held, Observer: silent{}, Logger: slog.New(slog.DiscardHandler), Namespace: "kubernaut-system",
				MaxInFlightSignals: 1000 + free,
			})
			if err != nil {
				b.Fatal(err)
			}
			body := webhookBody(b, 1000)
			send := func() {
				r, err := http.NewRequestWithContext(b.Context(), http.MethodPost, "/webhook/prometheus", bytes.NewReader(body))
				if err != nil {
					b.Error(err)
					return
				}
				handler.ServeHTTP(nowhere{make(http.Header)}, r)
			}
			var first sync.WaitGroup
			first.Go(send)
			leave := <-held.entered
			b.ReportAllocs()
			for b.Loop() {
				send()
			}
			close(leave)
			first.Wait()
		})
	}
}
