package alertmanager

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"kubernaut.io/gateway/adapter"
)

func FuzzDecode(f *testing.F) {
	fixture, err := os.ReadFile("../../test/fixtures/prometheus-alert.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(fixture)
	f.Add(benchBody(2))
	const maxSeed = 4 << 10
	for _, row := range badBodies {
		if len(row.body) < maxSeed {
			f.Add([]byte(row.body))
		}
	}
	for _, row := range badAlerts {
		if len(row.alert) < maxSeed {
			f.Add([]byte(frame1 + good + "," + row.alert + frame2))
		}
	}
	f.Add([]byte(frame1 + `{"labels":{"alertname":"A","pod":"a\u0000"}}` + frame2))
	f.Add([]byte(frame1 + `{"status":"resolved","startsAt":"2036-03-02T08:14:22Z","endsAt":"2026-03-02T08:14:22Z"}` + frame2))
	f.Add([]byte(frame1 + strings.Repeat("{},", 99) + "{}" + frame2))
	f.Add([]byte(frame1 + `{"x":` + strings.Repeat("[", 1_000) + strings.Repeat("]", 1_000) + "}" + frame2))

	f.Fuzz(func(t *testing.T, body []byte) {
		before := bytes.Clone(body)
		b, err := Decode(body)
		if !bytes.Equal(body, before) {
			t.Fatal("the body was changed")
		}
		if err != nil {
			checkMessage(t, err)
			if len(b.Signals) != 0 {
				t.Fatalf("%d signals beside the error %v", len(b.Signals), err)
			}
			return
		}
		if len(b.Signals) == 0 {
			t.Fatal("neither signals nor error")
		}
		status := groupStatus(t, body)
		for i, s := range b.Signals {
			if s.Err != nil {
				checkMessage(t, s.Err)
			}
			if s.Err == nil && (!json.Valid(s.Payload) || s.Payload[0] != '{') {
				t.Errorf("payload %d is no JSON object: %q", i, s.Payload)
			}
			if !bytes.Contains(body, s.Payload) {
				t.Errorf("payload %d is not in the body: %q", i, s.Payload)
			}
			alone, err := Decode([]byte(`{"status":` + status + `,"alerts":[` + string(s.Payload) + `]}`))
			if err != nil || len(alone.Signals) != 1 {
				t.Fatalf("alert %d alone: %d signals, %v", i, len(alone.Signals), err)
			}
			if shown(alone.Signals[0]) != shown(s) {
				t.Errorf("alert %d:\nalone  %+v\nbeside %+v", i, alone.Signals[0], s)
			}
		}
	})
}

func checkMessage(t *testing.T, err error) {
	t.Helper()
	if field, _, ok := strings.Cut(err.Error(), ": "); !ok || len(err.Error()) > 300 {
		t.Errorf("message %q of field %q; want a field and at most 300 bytes", err, field)
	}
}

// groupStatus returns the group's status as a JSON string.
func groupStatus(t *testing.T, body []byte) string {
	t.Helper()
	m, err := adapter.ReadAlerts(body)
	if err != nil {
		t.Fatal(err)
	}
	quoted, err := json.Marshal(m.Status)
	if err != nil {
		t.Fatal(err)
	}
	return string(quoted)
}
