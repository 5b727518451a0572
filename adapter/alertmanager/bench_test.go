package alertmanager

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
)

// plain is the payload as a program would declare it that only decodes.
type plain struct {
	Version         string            `json:"version"`
	GroupKey        string            `json:"groupKey"`
	TruncatedAlerts uint64            `json:"truncatedAlerts"`
	Status          string            `json:"status"`
	Receiver        string            `json:"receiver"`
	GroupLabels     map[string]string `json:"groupLabels"`
	CommonLabels    map[string]string `json:"commonLabels"`
	CommonAnnots    map[string]string `json:"commonAnnotations"`
	ExternalURL     string            `json:"externalURL"`
	Alerts          []struct {
		Status       string            `json:"status"`
		Labels       map[string]string `json:"labels"`
		Annotations  map[string]string `json:"annotations"`
		StartsAt     time.Time         `json:"startsAt"`
		EndsAt       time.Time         `json:"endsAt"`
		GeneratorURL string            `json:"generatorURL"`
		Fingerprint  string            `json:"fingerprint"`
	} `json:"alerts"`
}

// lean is the same with only what Decode reads.
type lean struct {
	TruncatedAlerts uint64 `json:"truncatedAlerts"`
	Status          string `json:"status"`
	Alerts          []struct {
		Status      string            `json:"status"`
		Labels      map[string]string `json:"labels"`
		Annotations map[string]string `json:"annotations"`
		StartsAt    time.Time         `json:"startsAt"`
		EndsAt      time.Time         `json:"endsAt"`
	} `json:"alerts"`
}

func benchBody(n int) []byte {
	alerts := make([]string, n)
	for i := range alerts {
		alerts[i] = fmt.Sprintf(`{"status":"firing","labels":{"alertname":"KubePodCrashLooping","container":"checkout","endpoint":"https-main","instance":"10.244.1.17:8443","job":"kube-state-metrics","namespace":"demo","pod":"checkout-7d9c5b8f6d-%05d","prometheus":"monitoring/k8s","reason":"CrashLoopBackOff","service":"kube-state-metrics","severity":"warning","uid":"5b3c1f0e-7c55-4f4e-9d0a-%012d"},"annotations":{"description":"Pod demo/checkout-7d9c5b8f6d-%05d (checkout) is in waiting state (reason: \"CrashLoopBackOff\").","runbook_url":"https://runbooks.prometheus-operator.dev/runbooks/kubernetes/kubepodcrashlooping","summary":"Pod is crash looping."},"startsAt":"2026-03-02T08:14:22.331Z","endsAt":"0001-01-01T00:00:00Z","generatorURL":"http://prometheus-k8s-0:9090/graph?g0.expr=max_over_time%%28kube_pod_container_status_waiting_reason%%5B5m%%5D%%29+%%3E%%3D+1\u0026g0.tab=1","fingerprint":"%016x"}`, i, i, i, i)
	}
	return []byte(`{"receiver":"remediation","status":"firing","alerts":[` + strings.Join(alerts, ",") + `],"groupLabels":{"alertname":"KubePodCrashLooping","namespace":"demo"},"commonLabels":{"alertname":"KubePodCrashLooping","namespace":"demo","severity":"warning"},"commonAnnotations":{"summary":"Pod is crash looping."},"externalURL":"http://alertmanager-main-0:9093","version":"4","groupKey":"{}:{alertname=\"KubePodCrashLooping\", namespace=\"demo\"}","truncatedAlerts":0}`)
}

func BenchmarkDecode(b *testing.B) {
	for _, n := range []int{1, 10, 100} {
		body := benchBody(n)
		run := func(name string, decode func() error) {
			b.Run(fmt.Sprintf("%s/alerts=%d", name, n), func(b *testing.B) {
				b.SetBytes(int64(len(body)))
				b.ReportAllocs()
				for b.Loop() {
					if err := decode(); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
		run("adapter", func() error {
			_, err := Decode(body)
			return err
		})
		run("bare", func() error {
			var m plain
			return json.Unmarshal(body, &m)
		})
		run("lean", func() error {
			var m lean
			return json.Unmarshal(body, &m)
		})
	}
}
