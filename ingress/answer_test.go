package ingress

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	gateway "kubernaut.io/gateway"
)

// The names of the summary are the outcomes, so that they need no quoting.
func TestOutcomesNeedNoQuoting(t *testing.T) {
	for _, o := range gateway.Outcomes {
		if quoted := string(appendString(nil, string(o))); quoted != `"`+string(o)+`"` {
			t.Errorf("%s becomes %s", o, quoted)
		}
	}
}

func FuzzRequestID(f *testing.F) {
	for _, seed := range []string{"", "a", "a b", strings.Repeat("x", 129), "\r\nSet-Cookie: x", "\xff", `"`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, sent string) {
		id := requestID(http.Header{"X-Request-Id": {sent}})
		if id == "" || len(id) > maxRequestIDLength || strings.Trim(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") != "" {
			t.Errorf("%q became %q", sent, id)
		}
	})
}

// Whatever a decision says, the answer is JSON and says it.
func FuzzAnswer(f *testing.F) {
	f.Add("rr-1", "new episode", "", "production", int64(1))
	f.Add(`"`, "\x00", "\xff\u2028", "</script>", int64(-1))
	h := &Handler{requestPrefix: `,"remediationRequest":{"namespace":"n","name":`}
	f.Fuzz(func(t *testing.T, name, reason, detail, environment string, occurrences int64) {
		decisions := []gateway.Decision{{
			Outcome: gateway.Created, Reason: gateway.Reason(reason), Detail: detail,
			Request: name, Environment: environment, Occurrences: occurrences,
		}}
		var got struct {
			Signals []struct {
				Reason, Environment string
				RemediationRequest  struct{ Name string }
				Occurrences         int64
			}
		}
		b := h.appendAnswer(nil, "id", decisions)
		if err := json.Unmarshal(b, &got); err != nil {
			t.Fatalf("%v in %q", err, b)
		}
		s := got.Signals[0]
		valid := func(s string) string {
			return string([]rune(s))
		}
		if s.RemediationRequest.Name != valid(name) || s.Environment != valid(environment) || s.Occurrences != occurrences {
			t.Errorf("%q", b)
		}
		if detail == "" && s.Reason != valid(reason) {
			t.Errorf("reason %q, want %q", s.Reason, reason)
		}
	})
}

func BenchmarkAnswer(b *testing.B) {
	h := &Handler{requestPrefix: `,"remediationRequest":{"namespace":"kubernaut-system","name":`}
	for _, n := range []struct {
		name  string
		count int
	}{{"1", 1}, {"10", 10}, {"100", 100}} {
		b.Run(n.name, func(b *testing.B) {
			decisions := make([]gateway.Decision, n.count)
			for i := range decisions {
				decisions[i] = gateway.Decision{
					Outcome: gateway.Duplicate, Reason: gateway.ReasonEpisodeOpen, Fingerprint: gateway.Fingerprint{byte(i)},
					Request: "rr-0123456789abcdef0123456789abcdef01234567", Occurrences: 1234,
					Environment: gateway.Production, Priority: gateway.P1, Path: gateway.Conservative,
				}
			}
			buf := make([]byte, 0, answerBytes*(n.count+1))
			b.ReportAllocs()
			for b.Loop() {
				buf = h.appendAnswer(buf[:0], "ABCDEFGHIJKLMNOPQRSTUVWXYZ", decisions)
			}
			b.ReportMetric(float64(len(buf)), "B/answer")
		})
	}
}
