package telemetry_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	gateway "kubernaut.io/gateway"
	"kubernaut.io/gateway/telemetry"
)

const own = "kubernaut-system"

// clock is set by hand.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func mustNew(tb testing.TB, o telemetry.Options) (*telemetry.Metrics, *prometheus.Registry) {
	tb.Helper()
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.Sources = []string{"prometheus", "k8s-event"}
	o.Namespace = own
	o.Version = "v1.2.3"
	registry := prometheus.NewPedanticRegistry()
	m, err := telemetry.New(registry, o)
	if err != nil {
		tb.Fatal(err)
	}
	return m, registry
}

// series returns the gateway's own series as the text format writes them, with
// their values; histograms by their count.
func series(tb testing.TB, registry *prometheus.Registry) map[string]float64 {
	tb.Helper()
	families, err := registry.Gather()
	if err != nil {
		tb.Fatal(err)
	}
	found := make(map[string]float64)
	for _, f := range families {
		if !strings.HasPrefix(f.GetName(), "gateway_") {
			continue
		}
		for _, metric := range f.GetMetric() {
			var labels []string
			for _, l := range metric.GetLabel() {
				labels = append(labels, l.GetName()+"="+strconv.Quote(l.GetValue()))
			}
			name := f.GetName() + "{" + strings.Join(labels, ",") + "}"
			switch {
			case metric.GetHistogram() != nil:
				found[name] = float64(metric.GetHistogram().GetSampleCount())
			case metric.GetGauge() != nil:
				found[name] = metric.GetGauge().GetValue()
			default:
				found[name] = metric.GetCounter().GetValue()
			}
		}
	}
	return found
}

func want(tb testing.TB, found map[string]float64, expected map[string]float64) {
	tb.Helper()
	for name, value := range expected {
		if got, ok := found[name]; !ok || got != value {
			tb.Errorf("%s is %v (there: %v), want %v", name, got, ok, value)
		}
	}
}

func signalIn(namespace string) *gateway.Signal {
	return &gateway.Signal{
		Name: "KubePodCrashLooping", Source: "prometheus",
		Resource: gateway.Resource{APIVersion: "v1", Kind: "Pod", Namespace: namespace, Name: "p"},
	}
}

func TestSeriesExistFromTheStart(t *testing.T) {
	_, registry := mustNew(t, telemetry.Options{
		WatchSilence: func() time.Duration { return 90 * time.Second },
		AuthFailures: [][2]string{{"bearer", "wrong"}}, Limits: []string{"rate", "bytes"},
		CertificateExpiry: func(listener string) time.Time {
			if listener == "webhooks" {
				return time.Time{}
			}
			return time.Unix(1234567890, 0)
		},
	})
	found := series(t, registry)
	expected := map[string]float64{
		"gateway_watch_silence_seconds{}":                                                           90,
		"gateway_webhooks_in_flight{}":                                                              0,
		"gateway_crd_creation_duration_seconds{}":                                                   0,
		"gateway_audit_lines_total{}":                                                               0,
		`gateway_audit_dropped_total{why="queue"}`:                                                  0,
		`gateway_audit_dropped_total{why="disk"}`:                                                   0,
		`gateway_deduplication_rate{namespace="` + own + `"}`:                                       0,
		`gateway_deduplicated_total{namespace="` + own + `"}`:                                       0,
		`gateway_storm_detected_total{namespace="` + own + `"}`:                                     0,
		`gateway_kubernetes_writes_total{code="201",verb="create"}`:                                 0,
		`gateway_kubernetes_writes_total{code="409",verb="apply"}`:                                  0,
		`gateway_decisions_total{outcome="failed",reason="too many replicas decided this at once"}`: 0,
	}
	for _, operation := range []string{"check", "record"} {
		for _, status := range []string{"success", "error"} {
			expected[fmt.Sprintf("gateway_redis_operations_total{operation=%q,status=%q}", operation, status)] = 0
		}
	}
	for _, source := range []string{"prometheus", "k8s_event", "_admin"} {
		expected[fmt.Sprintf("gateway_auth_failures_total{kind=\"bearer\",reason=\"wrong\",source=%q}", source)] = 0
	}
	expected[`gateway_certificate_expiry_timestamp_seconds{listener="webhooks"}`] = 0
	expected[`gateway_certificate_expiry_timestamp_seconds{listener="admin"}`] = 1234567890
	for _, source := range []string{"prometheus", "k8s_event", "unknown"} {
		expected[fmt.Sprintf("gateway_webhooks_refused_total{code=\"503\",source=%q}", source)] = 0
		expected[fmt.Sprintf("gateway_truncated_alerts_total{source=%q}", source)] = 0
		if source != "unknown" {
			expected[fmt.Sprintf("gateway_webhooks_limited_total{limit=\"bytes\",source=%q}", source)] = 0
		}
		for _, status := range []string{"success", "error"} {
			expected[fmt.Sprintf("gateway_webhooks_total{source=%q,status=%q}", source, status)] = 0
			expected[fmt.Sprintf("gateway_webhook_duration_seconds{source=%q,status=%q}", source, status)] = 0
		}
		for _, o := range gateway.Outcomes {
			expected[fmt.Sprintf("gateway_signals_total{outcome=%q,source=%q}", string(o), source)] = 0
		}
	}
	want(t, found, expected)

	build := 0
	for name, value := range found {
		if strings.HasPrefix(name, "gateway_build_info{goversion=\"go1") && strings.HasSuffix(name, `version="v1.2.3"}`) && value == 1 {
			build++
		}
	}
	if build != 1 {
		t.Errorf("%d series of build_info, want 1", build)
	}
}

// declaredReasons reads the reasons that the domain declares.
func declaredReasons(t *testing.T) []gateway.Reason {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "../decision.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var declared []gateway.Reason
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if typ, ok := spec.Type.(*ast.Ident); ok && typ.Name == "Reason" {
			text, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			declared = append(declared, gateway.Reason(text))
		}
		return true
	})
	return declared
}

func TestEveryReasonIsCounted(t *testing.T) {
	_, registry := mustNew(t, telemetry.Options{})
	found := series(t, registry)
	declared := declaredReasons(t)
	if len(declared) < 30 {
		t.Fatalf("only %d reasons found in the domain", len(declared))
	}
	for _, r := range declared {
		counted := false
		for name := range found {
			counted = counted || strings.HasPrefix(name, "gateway_decisions_total") && strings.Contains(name, fmt.Sprintf("reason=%q", string(r)))
		}
		if !counted {
			t.Errorf("no series for the reason %q", r)
		}
	}
}

func TestDecided(t *testing.T) {
	m, registry := mustNew(t, telemetry.Options{})
	demo := signalIn("demo")
	event := signalIn("")
	event.Source = "k8s-event"
	event.Resource = gateway.Resource{APIVersion: "v1", Kind: "Namespace", Name: "shop"}
	nowhere := signalIn("")
	nowhere.Source = "some watch"

	m.Decided(demo, &gateway.Decision{Outcome: gateway.Created, Reason: gateway.ReasonNewEpisode, Opened: true})
	m.Decided(demo, &gateway.Decision{Outcome: gateway.Duplicate, Reason: gateway.ReasonEpisodeOpen})
	m.Decided(demo, &gateway.Decision{Outcome: gateway.Duplicate, Reason: gateway.ReasonEpisodeOpen})
	m.Decided(demo, &gateway.Decision{Outcome: gateway.Duplicate, Reason: "never heard of"})
	m.Decided(event, &gateway.Decision{Outcome: gateway.Member, Reason: gateway.ReasonStormOpened, Opened: true})
	m.Decided(event, &gateway.Decision{Outcome: gateway.Member, Reason: gateway.ReasonStormJoined})
	m.Decided(nowhere, &gateway.Decision{Outcome: gateway.Resolved, Reason: gateway.ReasonNothingToResolve})
	m.Decided(nowhere, &gateway.Decision{Outcome: gateway.Duplicate, Reason: gateway.ReasonInProgress})
	m.Decided(nowhere, &gateway.Decision{Outcome: "unheard-of"})

	want(t, series(t, registry), map[string]float64{
		`gateway_signals_total{outcome="created",source="prometheus"}`:                           1,
		`gateway_signals_total{outcome="duplicate",source="prometheus"}`:                         3,
		`gateway_signals_total{outcome="member",source="k8s_event"}`:                             2,
		`gateway_signals_total{outcome="resolved",source="unknown"}`:                             1,
		`gateway_decisions_total{outcome="created",reason="new episode"}`:                        1,
		`gateway_decisions_total{outcome="duplicate",reason="the episode's request is waiting"}`: 2,
		`gateway_decisions_total{outcome="duplicate",reason="other"}`:                            1,
		`gateway_deduplicated_total{namespace="demo"}`:                                           3,
		`gateway_deduplicated_total{namespace="none"}`:                                           1,
		`gateway_deduplicated_total{namespace="shop"}`:                                           0,
		`gateway_storm_detected_total{namespace="shop"}`:                                         1,
		`gateway_deduplication_rate{namespace="demo"}`:                                           .75,
		`gateway_deduplication_rate{namespace="shop"}`:                                           0,
		`gateway_deduplication_rate{namespace="none"}`:                                           1,
	})
}

func TestWebhooks(t *testing.T) {
	m, registry := mustNew(t, telemetry.Options{})
	for _, a := range []struct {
		source string
		status int
	}{{"prometheus", 201}, {"prometheus", 202}, {"prometheus", 503}, {"k8s-event", 400}, {"", 404}, {"made-up", 404}, {"prometheus", 302}} {
		m.Began()
		m.Answered(a.source, a.status, time.Millisecond)
	}
	m.Began()
	m.Truncated("prometheus", 7)
	m.Truncated("prometheus", -3)
	want(t, series(t, registry), map[string]float64{
		`gateway_webhooks_total{source="prometheus",status="success"}`:           2,
		`gateway_webhooks_total{source="prometheus",status="error"}`:             2,
		`gateway_webhooks_total{source="k8s_event",status="error"}`:              1,
		`gateway_webhooks_total{source="unknown",status="error"}`:                2,
		`gateway_webhooks_refused_total{code="503",source="prometheus"}`:         1,
		`gateway_webhooks_refused_total{code="other",source="prometheus"}`:       1,
		`gateway_webhooks_refused_total{code="400",source="k8s_event"}`:          1,
		`gateway_webhooks_refused_total{code="404",source="unknown"}`:            2,
		`gateway_webhook_duration_seconds{source="prometheus",status="success"}`: 2,
		`gateway_webhook_duration_seconds{source="prometheus",status="error"}`:   2,
		`gateway_truncated_alerts_total{source="prometheus"}`:                    7,
		"gateway_webhooks_in_flight{}":                                           1,
	})
}

func TestCalls(t *testing.T) {
	m, registry := mustNew(t, telemetry.Options{})
	away := errors.New("away")
	m.Created(20*time.Millisecond, nil)
	m.Created(time.Second, away)
	m.Wrote("create", "201")
	m.Wrote("create", "599")
	m.Wrote("delete", "200")
	m.Wrote("patch", "200")
	m.Disputed("struck")
	m.Disputed("\xff")
	m.Wrote("\xff", "\xff")
	m.Checked(nil)
	m.Checked(away)
	m.Checked(away)
	m.Recorded(nil)
	want(t, series(t, registry), map[string]float64{
		"gateway_crd_creation_duration_seconds{}":                             1,
		`gateway_kubernetes_writes_total{code="201",verb="create"}`:           1,
		`gateway_kubernetes_writes_total{code="other",verb="create"}`:         1,
		`gateway_kubernetes_writes_total{code="200",verb="delete"}`:           1,
		`gateway_kubernetes_writes_total{code="200",verb="other"}`:            1,
		`gateway_disputes_total{ruling="struck"}`:                             1,
		`gateway_disputes_total{ruling="other"}`:                              1,
		`gateway_kubernetes_writes_total{code="other",verb="other"}`:          1,
		`gateway_redis_operations_total{operation="check",status="error"}`:    2,
		`gateway_redis_operations_total{operation="check",status="success"}`:  1,
		`gateway_redis_operations_total{operation="record",status="success"}`: 1,
		`gateway_redis_operations_total{operation="record",status="error"}`:   0,
	})
}

func TestHostileLabelsMakeNoSeries(t *testing.T) {
	m, registry := mustNew(t, telemetry.Options{})
	before := len(series(t, registry))
	duplicate := &gateway.Decision{Outcome: gateway.Duplicate, Reason: gateway.ReasonEpisodeOpen}

	for _, name := range []string{"\xff\xfe", "UPPER", "a/b", "a\nb", "\x00", strings.Repeat("x", 64), strings.Repeat("n", 1<<20), "-a", `"}`} {
		m.Decided(signalIn(name), duplicate)
	}
	for i := range 1000 {
		s := signalIn("ns-" + strconv.Itoa(i))
		m.Decided(s, &gateway.Decision{Outcome: gateway.Rejected, Reason: gateway.ReasonInvalid})
		s.Source = "source-" + strconv.Itoa(i)
		m.Decided(s, &gateway.Decision{Outcome: gateway.Failed, Reason: gateway.Reason(s.Source)})
		m.Answered(s.Source, 1000+i, 0)
		m.Wrote("verb"+s.Source, "code"+s.Source)
	}
	if after := len(series(t, registry)); after != before {
		t.Errorf("%d series, want the %d of the start", after, before)
	}
	want(t, series(t, registry), map[string]float64{`gateway_deduplicated_total{namespace="other"}`: 9})

	for i := range 1000 {
		m.Decided(signalIn("ns-"+strconv.Itoa(i)), duplicate)
	}
	found := series(t, registry)
	// Own is one of the 200, so that 199 get a name and 801 do not.
	if grown := len(found) - before; grown != 3*199 {
		t.Errorf("%d new series, want 3 for each of 199 namespaces", grown)
	}
	want(t, found, map[string]float64{
		`gateway_deduplicated_total{namespace="ns-0"}`:   1,
		`gateway_deduplicated_total{namespace="ns-198"}`: 1,
		`gateway_deduplicated_total{namespace="other"}`:  9 + 801,
	})
}

func TestDeduplicationRateSlides(t *testing.T) {
	c := &clock{now: time.Unix(1_700_000_000, 0)}
	m, registry := mustNew(t, telemetry.Options{Now: c.Now})
	rate := func() float64 { return series(t, registry)[`gateway_deduplication_rate{namespace="demo"}`] }
	decide := func(o gateway.Outcome, times int) {
		for range times {
			m.Decided(signalIn("demo"), &gateway.Decision{Outcome: o})
		}
	}
	steps := []struct {
		name    string
		advance time.Duration
		outcome gateway.Outcome
		times   int
		want    float64
	}{
		{"a new one", 0, gateway.Created, 1, 0},
		{"three duplicates", 4 * time.Minute, gateway.Duplicate, 3, .75},
		{"what does not count", 0, gateway.Resolved, 5, .75},
		{"nor this", 0, gateway.Suppressed, 5, .75},
		{"just within", 49 * time.Second, gateway.Failed, 1, .75},
		{"the new one has left", 11 * time.Second, gateway.Rejected, 1, 1},
		{"a member", time.Minute, gateway.Member, 1, .75},
		{"all but the member have left", 3 * time.Minute, gateway.Spooled, 1, 0},
		{"the slot of long ago is not counted again", 55 * time.Minute, gateway.Duplicate, 1, 1},
		{"nothing for long", time.Hour, gateway.Resolved, 1, 0},
	}
	for _, s := range steps {
		c.advance(s.advance)
		decide(s.outcome, s.times)
		if got := rate(); got != s.want {
			t.Errorf("%s: %v, want %v", s.name, got, s.want)
		}
	}
}

func TestDecidedLogs(t *testing.T) {
	fingerprint := gateway.Fingerprint{1, 2, 3}
	tests := []struct {
		name string
		d    gateway.Decision
		// level is empty where nothing is to be logged.
		level string
	}{
		{"created", gateway.Decision{Outcome: gateway.Created, Reason: gateway.ReasonNewEpisode, Opened: true, Request: "rr-1"}, "INFO"},
		{"opened a storm", gateway.Decision{Outcome: gateway.Member, Reason: gateway.ReasonStormOpened, Opened: true, Request: "rr-1"}, "INFO"},
		{"joined a storm", gateway.Decision{Outcome: gateway.Member, Reason: gateway.ReasonStormJoined, Request: "rr-1"}, ""},
		{"duplicate", gateway.Decision{Outcome: gateway.Duplicate, Request: "rr-1"}, ""},
		{"resolved", gateway.Decision{Outcome: gateway.Resolved, Request: "rr-1"}, ""},
		{"suppressed", gateway.Decision{Outcome: gateway.Suppressed, Request: "rr-1"}, ""},
		{"rejected", gateway.Decision{Outcome: gateway.Rejected, Reason: gateway.ReasonInvalid, Request: "rr-1"}, "WARN"},
		{"failed", gateway.Decision{Outcome: gateway.Failed, Reason: gateway.ReasonUnavailable, Request: "rr-1"}, "ERROR"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for _, debug := range []bool{false, true} {
				var out bytes.Buffer
				level := slog.LevelInfo
				if debug {
					level = slog.LevelDebug
				}
				m, _ := mustNew(t, telemetry.Options{Logger: slog.New(slog.NewJSONHandler(&out, &slog.HandlerOptions{Level: level}))})
				d := test.d
				d.Fingerprint = fingerprint
				d.Detail = strings.Repeat("ä", 1<<20)
				s := signalIn("demo")
				m.Decided(s, &d)
				expected := test.level
				if debug && expected == "" {
					expected = "DEBUG"
				}
				if expected == "" {
					if out.Len() != 0 {
						t.Errorf("logged %s", out.String())
					}
					continue
				}
				checkLine(t, out.Bytes(), map[string]string{
					"level": expected, "component": "pipeline", "fingerprint": fingerprint.String(), "source": "prometheus",
					"reason": string(d.Reason), "request": "rr-1", "namespace": "demo", "outcome": string(d.Outcome),
				})
			}
		})
	}
}

func checkLine(t *testing.T, line []byte, expected map[string]string) {
	t.Helper()
	if len(line) > 2048 {
		t.Errorf("a line of %d bytes", len(line))
	}
	var got map[string]string
	if err := json.Unmarshal(line, &got); err != nil {
		t.Fatalf("%v in %.300s", err, line)
	}
	for key, value := range expected {
		if got[key] != value {
			t.Errorf("%s is %q, want %q", key, got[key], value)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	logger := slog.New(slog.DiscardHandler)
	tests := map[string]telemetry.Options{
		"no namespace": {Version: "v1", Logger: logger},
		"no version":   {Namespace: own, Logger: logger},
		"no logger":    {Namespace: own, Version: "v1"},
	}
	for name, o := range tests {
		if _, err := telemetry.New(prometheus.NewRegistry(), o); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	registry := prometheus.NewRegistry()
	o := telemetry.Options{Namespace: own, Version: "v1", Logger: logger}
	if _, err := telemetry.New(registry, o); err != nil {
		t.Fatal(err)
	}
	_, err := telemetry.New(registry, o)
	if already := (prometheus.AlreadyRegisteredError{}); !errors.As(err, &already) {
		t.Errorf("the second on one registry: %v", err)
	}
}

func TestConcurrently(t *testing.T) {
	m, registry := mustNew(t, telemetry.Options{})
	const workers, each = 8, 500
	var wait sync.WaitGroup
	for range workers {
		wait.Go(func() {
			for i := range each {
				m.Began()
				m.Decided(signalIn("ns-"+strconv.Itoa(i)), &gateway.Decision{Outcome: gateway.Duplicate})
				m.Answered("prometheus", 202, time.Millisecond)
				if i%100 == 0 {
					if _, err := registry.Gather(); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wait.Wait()
	found := series(t, registry)
	total := 0.0
	names := 0
	for name, value := range found {
		if strings.HasPrefix(name, "gateway_deduplicated_total{") {
			total += value
			names++
		}
	}
	if total != workers*each || names != 202 {
		t.Errorf("%v duplicates in %d series, want %d in 202", total, names, workers*each)
	}
	want(t, found, map[string]float64{
		"gateway_webhooks_in_flight{}":                                   0,
		`gateway_signals_total{outcome="duplicate",source="prometheus"}`: workers * each,
	})
}

func TestDuplicatesAllocateNothing(t *testing.T) {
	m, _ := mustNew(t, telemetry.Options{})
	s := signalIn("demo")
	d := &gateway.Decision{Outcome: gateway.Duplicate, Reason: gateway.ReasonEpisodeOpen, Request: "rr-1"}
	if n := testing.AllocsPerRun(1000, func() { m.Decided(s, d) }); n != 0 {
		t.Errorf("%v allocations for a duplicate", n)
	}
}

func BenchmarkDecidedDuplicate(b *testing.B) {
	m, _ := mustNew(b, telemetry.Options{Logger: slog.New(slog.NewJSONHandler(&bytes.Buffer{}, nil))})
	d := &gateway.Decision{Outcome: gateway.Duplicate, Reason: gateway.ReasonEpisodeOpen, Request: "rr-1"}
	b.Run("serial", func(b *testing.B) {
		s := signalIn("demo")
		b.ReportAllocs()
		for b.Loop() {
			m.Decided(s, d)
		}
	})
	b.Run("parallel", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			s := signalIn("demo")
			for pb.Next() {
				m.Decided(s, d)
			}
		})
	})
}

// The rooms' interfaces are theirs; these are the shapes that app counts on.
var (
	_ interface {
		Began()
		Answered(source string, status int, took time.Duration)
		Truncated(source string, alerts int)
	} = (*telemetry.Metrics)(nil)
	_ interface {
		Created(took time.Duration, err error)
		Wrote(verb, code string)
		Disputed(ruling string)
	} = (*telemetry.Metrics)(nil)
)

func TestLimitedIsCounted(t *testing.T) {
	m, registry := mustNew(t, telemetry.Options{Limits: []string{"rate", "bytes"}})
	m.Limited("k8s-event", "rate")
	m.Limited("k8s-event", "what a sender invents")
	m.Limited("what a sender invents", "rate")
	want(t, series(t, registry), map[string]float64{
		`gateway_webhooks_limited_total{limit="rate",source="k8s_event"}`:  1,
		`gateway_webhooks_limited_total{limit="bytes",source="k8s_event"}`: 0,
		`gateway_webhooks_limited_total{limit="rate",source="prometheus"}`: 0,
		`gateway_webhooks_limited_total{limit="other",source="unknown"}`:   2,
	})
}

func TestAuthFailuresAreCounted(t *testing.T) {
	m, registry := mustNew(t, telemetry.Options{AuthFailures: [][2]string{{"bearer", "wrong"}}})
	m.AuthFailed("k8s-event", "bearer", "wrong")
	m.AuthFailed(telemetry.AdminSource, "bearer", "wrong")
	m.AuthFailed("invented", "bearer", "wrong")
	m.AuthFailed("k8s-event", "bearer", "invented")
	want(t, series(t, registry), map[string]float64{
		`gateway_auth_failures_total{kind="bearer",reason="wrong",source="k8s_event"}`:  1,
		`gateway_auth_failures_total{kind="bearer",reason="wrong",source="_admin"}`:     1,
		`gateway_auth_failures_total{kind="bearer",reason="wrong",source="prometheus"}`: 0,
		`gateway_auth_failures_total{kind="other",reason="other",source="unknown"}`:     2,
	})
}
