package k8sevent

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

func FuzzDecode(f *testing.F) {
	f.Add([]byte(coreEvent))
	f.Add([]byte(newEvent))
	f.Add([]byte(`{"apiVersion":"v1","kind":"List","items":[` + coreEvent + "," + newEvent + `]}`))
	const maxSeed = 4 << 10
	for _, row := range badBodies {
		if len(row.body) < maxSeed {
			f.Add([]byte(row.body))
		}
	}
	for _, row := range badEvents {
		f.Add([]byte(row.event))
		f.Add([]byte(`{"kind":"List","items":[` + coreEvent + "," + row.event + `]}`))
	}
	f.Add([]byte(`{"kind":"EventList","items":[` + strings.Repeat("{},", 99) + "{}]}"))
	f.Add([]byte(`{"kind":"Event","x":` + strings.Repeat("[", 1_000) + strings.Repeat("]", 1_000) + "}"))

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
		for i, s := range b.Signals {
			if s.Err != nil {
				checkMessage(t, s.Err)
			}
			if s.Err == nil && (!json.Valid(s.Payload) || s.Payload[0] != '{' || s.EventCount < 1) {
				t.Errorf("signal %d: %+v", i, s)
			}
			if !bytes.Contains(body, s.Payload) {
				t.Errorf("payload %d is not in the body: %q", i, s.Payload)
			}
			if len(b.Signals) == 1 {
				continue
			}
			alone, err := Decode([]byte(`{"kind":"List","apiVersion":"v1","items":[` + string(s.Payload) + `]}`))
			if err != nil || len(alone.Signals) != 1 {
				t.Fatalf("event %d alone: %d signals, %v", i, len(alone.Signals), err)
			}
			if shown(alone.Signals[0]) != shown(s) {
				t.Errorf("event %d:\nalone  %+v\nbeside %+v", i, alone.Signals[0], s)
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
