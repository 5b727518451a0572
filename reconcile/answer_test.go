package reconcile

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"kubernaut.io/gateway/adapter/alertmanager"
)

// said is an alert as Alertmanager's API tells it.
func said(labels, receivers, status string) string {
	return fmt.Sprintf(`{"annotations":{"summary":"It \"breaks\".\n"},"endsAt":"2030-01-01T00:00:00.000Z","fingerprint":"0c3c1d6d4a4b8a3f",
"receivers":[%s],"startsAt":"2026-03-02T08:14:22.331Z","status":%s,"updatedAt":"2026-03-02T09:14:22.331Z",
"generatorURL":"http://prometheus/graph?g0.expr=up\u0026g0.tab=1","labels":%s}`, receivers, status, labels)
}

const (
	cart   = `{"alertname":"KubePodCrashLooping","namespace":"shop","pod":"cart-0","severity":"critical"}`
	ours   = `{"name":"gateway"}`
	active = `{"inhibitedBy":[],"silencedBy":[],"state":"active"}`
)

func TestNotifies(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		receivers, status string
		want              bool
	}{
		"ours":                   {ours, active, true},
		"ours and another":       {`{"name":"pager"},` + ours, active, true},
		"another's":              {`{"name":"pager"}`, active, false},
		"another's of like name": {`{"name":"gateway-old"}`, active, false},
		"nobody's":               {``, active, false},
		"silenced":               {ours, `{"state":"suppressed","silencedBy":["x"],"inhibitedBy":[]}`, false},
		"inhibited":              {ours, `{"state":"suppressed","silencedBy":[],"inhibitedBy":["x"]}`, false},
		"muted":                  {ours, `{"state":"active","silencedBy":[],"inhibitedBy":[],"mutedBy":["night"]}`, false},
		"not looked at yet":      {ours, `{"state":"unprocessed"}`, false},
		"no status":              {ours, `{}`, true},
	} {
		a := parseAlert([]byte(said(cart, test.receivers, test.status)))
		if a == nil || a.notifies("gateway") != test.want {
			t.Errorf("%s: %+v, want %v", name, a, test.want)
		}
	}
}

// TestReadAlerts: what is none costs itself alone, and a broken list is told.
func TestReadAlerts(t *testing.T) {
	t.Parallel()
	one := said(cart, ours, active)
	deep := strings.Repeat("[", 20_000)
	for _, test := range []struct {
		name, answer string
		good, bad    int
		err          string
	}{
		{"none", `[]`, 0, 0, ""},
		{"two", `[` + one + `, ` + one + "]\n", 2, 0, ""},
		{"others between", `[null,1,"x",[],{},{"labels":{}},{"labels":[]},{"labels":{"a":1}},` + one + `,{"labels":{"a":"b"},"startsAt":"yesterday"}]`, 1, 9, ""},
		{"twice the same name", `[{"labels":{"a":"b"},"labels":{"a":"c"},"receivers":[]}]`, 1, 0, ""},
		{"no UTF-8", "[{\"labels\":{\"a\":\"\xff\"}}]", 1, 0, ""},
		{"empty", ``, 0, 0, "ends in the middle"},
		{"an object", `{"status":"error"}`, 0, 0, "is it an Alertmanager"},
		{"null", `null`, 0, 0, "is it an Alertmanager"},
		{"a page", `<!DOCTYPE html>`, 0, 0, "not valid JSON"},
		{"cut off", `[` + one + `,`, 1, 0, "ends in the middle"},
		{"cut off inside", `[` + one[:100], 0, 0, "ends in the middle"},
		{"two lists", `[][]`, 0, 0, "something follows"},
		{"trailing comma", `[` + one + `,]`, 1, 0, "not valid JSON"},
		{"too deep", `[` + deep, 0, 0, "not valid JSON"},
		{"too deep an alert", `[{"labels":` + deep, 0, 0, "not valid JSON"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			good, bad := 0, 0
			err := readAlerts(strings.NewReader(test.answer), func(a *alert) error {
				if a == nil {
					bad++
				} else {
					good++
				}
				return nil
			})
			if good != test.good || bad != test.bad {
				t.Errorf("%d alerts and %d that are none, want %d and %d", good, bad, test.good, test.bad)
			}
			if test.err == "" && err != nil || test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err)) {
				t.Errorf("%v, want %q in it", err, test.err)
			}
		})
	}
}

// endless is a reader that repeats a text without end.
type endless struct {
	text string
	read int64
}

func (e *endless) Read(b []byte) (int, error) {
	n := copy(b, e.text)
	e.read += int64(n)
	return n, nil
}

// TestEnormousAlert: no more of it is read than a little.
func TestEnormousAlert(t *testing.T) {
	t.Parallel()
	for _, begin := range []string{`[{"labels":{"alertname":"`, `[` + said(cart, ours, active) + `,"`} {
		tail := &endless{text: strings.Repeat("a", 4096)}
		err := readAlerts(io.MultiReader(strings.NewReader(begin), tail), func(*alert) error { return nil })
		if !errors.Is(err, errAlertSize) || tail.read > 2*maxAlertBytes {
			t.Errorf("%v after %d bytes", err, tail.read)
		}
	}
}

func TestEndlessAnswer(t *testing.T) {
	t.Parallel()
	in := &paced{from: &endless{text: " "}, left: 10_000, room: 1 << 30}
	if n, err := io.Copy(io.Discard, in); n != 10_000 || !errors.Is(err, errAnswerSize) {
		t.Errorf("%d bytes, %v", n, err)
	}
}

// FuzzReadAlerts: whatever an Alertmanager answers, what is made of it is a body
// that its adapter reads, with an alert for each.
func FuzzReadAlerts(f *testing.F) {
	one := said(cart, ours, active)
	for _, seed := range []string{
		`[]`, `[` + one + `]`, `[` + one + `,` + one + `]`, `[null,{}]`, `[{"labels":{"a":"\ud800"}}]`, "[{\"labels\":{\"\xff\":\"\"}}]",
		`[{"labels":{"alertname":"A"},"startsAt":"9999-12-31T23:59:59+23:59","receivers":[{"name":"gateway"}]}]`,
	} {
		f.Add(seed)
	}
	m, err := NewAlertmanager(AlertmanagerOptions{URL: "http://alertmanager", Receiver: "gateway"})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, answer string) {
		var payloads [][]byte
		_ = readAlerts(strings.NewReader(answer), func(a *alert) error { // as far as it goes
			if a == nil {
				return nil
			}
			if p, err := a.payload(); err == nil {
				payloads = append(payloads, p)
			}
			return nil
		})
		if len(payloads) == 0 {
			return
		}
		batch, err := alertmanager.Decode(m.Join(payloads))
		if err != nil || len(batch.Signals) != len(payloads) {
			t.Fatalf("%d alerts are %d signals, %v:\n%s", len(payloads), len(batch.Signals), err, m.Join(payloads))
		}
		for i, s := range batch.Signals {
			if s.Err != nil || s.Resolved {
				t.Errorf("alert %s: %v, resolved %v", payloads[i], s.Err, s.Resolved)
			}
		}
	})
}
