package recording

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"testing"

	"kubernaut.io/gateway"
	"kubernaut.io/gateway/redact"
)

// alerts is what Alertmanager sends of a hundred alerts, and what is decided.
func alerts(tb testing.TB) Request {
	tb.Helper()
	var body bytes.Buffer
	body.WriteString(`{"version":"4","groupKey":"{}:{alertname=\"KubePodCrashLooping\"}","status":"firing","receiver":"kubernaut","alerts":[`)
	decisions := make([]gateway.Decision, 100)
	for i := range decisions {
		if i > 0 {
			body.WriteByte(',')
		}
		fmt.Fprintf(&body, `{"status":"firing","labels":{"alertname":"KubePodCrashLooping","container":"app","job":"kube-state-metrics",`+
			`"namespace":"shop-%d","pod":"cart-7d9f8b6c5-%05x","prometheus":"monitoring/k8s","severity":"critical","uid":"%032x"},`+
			`"annotations":{"description":"Pod shop-%d/cart-7d9f8b6c5-%05x (app) is in waiting state (reason: \"CrashLoopBackOff\").",`+
			`"runbook_url":"https://runbooks.prometheus-operator.dev/runbooks/kubernetes/kubepodcrashlooping","summary":"Pod is crash looping."},`+
			`"startsAt":"2031-05-06T07:%02d:09.123Z","endsAt":"0001-01-01T00:00:00Z",`+
			`"generatorURL":"http://prometheus.example/graph?g0.expr=max_over_time&g0.tab=1","fingerprint":"%016x"}`,
			i%7, i*7919, i*104729, i%7, i*7919, i%60, i*1299709)
		d := &decisions[i]
		*d = decision()
		d.Fingerprint, d.Alert, d.Detail = gateway.Fingerprint{byte(i)}, gateway.AlertHash{byte(i), 7}, ""
		newest := &gateway.Request{
			Fingerprint: d.Fingerprint, Sequence: 1, Attempt: 1, Created: at(1), Phase: "Processing", Environment: "production", Priority: "P1",
			Episode: gateway.Episode{
				Occurrences: int64(i), FirstSeen: at(1), LastSeen: at(2),
				Alerts: []gateway.Alert{{Hash: d.Alert, StartsAt: at(1)}},
			},
		}
		d.Steps = []gateway.Step{
			{Op: gateway.OpNewest, Answer: gateway.Newest{Request: newest, Highest: 1}},
			{Op: gateway.OpNote, Answer: gateway.Noted{Base: 1, Delta: 2, Total: 3}},
		}
	}
	body.WriteString(`],"truncatedAlerts":0}`)
	return Request{ID: "0123456789", Source: "alertmanager", Status: 202, Body: body.Bytes(), Decisions: decisions, Rules: "r1"}
}

func benchWriter(b *testing.B) *Writer {
	b.Helper()
	w, err := New(Options{
		Dir: b.TempDir(), Instance: "gw-0", Start: func() Start { return Start{} }, QueueBytes: math.MaxInt64, Share: 1,
		Observer: new(gauge), Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		b.Fatal(err)
	}
	return w
}

// BenchmarkRequest is all the work: the caller's and Run's.
func BenchmarkRequest(b *testing.B) {
	w, r := benchWriter(b), alerts(b)
	b.SetBytes(int64(len(r.Body)))
	b.ReportAllocs()
	k := newWorker(w)
	for b.Loop() {
		w.Request(r)
		for k.waits() {
			k.write(w.options.Now())
		}
	}
	b.StopTimer()
	k.flush()
	b.ReportMetric(float64(k.file.told)/float64(b.N), "disk-B/op")
	k.finish()
}

// BenchmarkNote is the caller's part.
func BenchmarkNote(b *testing.B) {
	w, r := benchWriter(b), alerts(b)
	b.SetBytes(int64(len(r.Body)))
	b.ReportAllocs()
	for b.Loop() {
		w.Request(r)
		if taken := w.queue.take(nil); len(taken) > 0 {
			for i := range taken {
				w.queue.release(&taken[i])
			}
		}
	}
}

// BenchmarkDropped is the caller's part where there is no room.
func BenchmarkDropped(b *testing.B) {
	w, r := benchWriter(b), alerts(b)
	w.queue.max = 0
	b.ReportAllocs()
	for b.Loop() {
		w.Request(r)
	}
}

func BenchmarkRedact(b *testing.B) {
	r := alerts(b)
	b.SetBytes(int64(len(r.Body)))
	b.ReportAllocs()
	var dst []byte
	for b.Loop() {
		dst, _ = redact.JSON(dst[:0], r.Body)
	}
}

func BenchmarkRead(b *testing.B) {
	w, r := benchWriter(b), alerts(b)
	for range 100 {
		w.Request(r)
	}
	ended, cancel := context.WithCancel(b.Context())
	cancel()
	if err := w.Run(ended); err != nil {
		b.Fatal(err)
	}
	files, err := Find(w.options.Dir)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(100 * len(r.Body)))
	b.ReportAllocs()
	for b.Loop() {
		for _, err := range Read(files...) {
			if err != nil {
				b.Fatal(err)
			}
		}
	}
}

// TestBenchmarked says that what is measured is what it looks like.
func TestBenchmarked(t *testing.T) {
	r := alerts(t)
	if !json.Valid(r.Body) || len(r.Decisions) != 100 {
		t.Fatalf("%s", r.Body)
	}
	w := newRig(t)
	w.Request(r)
	w.all(t)
	got := mustRead(t, w.dir)[1].Request
	if got.Redacted || !bytes.Equal(got.Body, r.Body) {
		t.Errorf("came back as %s", got.Body)
	}
	for i := range r.Decisions {
		sameDecision(t, got.Decisions[i], r.Decisions[i])
	}
}
