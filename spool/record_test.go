package spool

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"kubernaut.io/gateway"
)

// full is a signal with every field set to what is not zero.
func full() gateway.Signal {
	at := time.Date(2031, 5, 6, 7, 8, 9, 123456000, time.UTC)
	return gateway.Signal{
		Name: "Out <of> memory & \"more\"", Severity: "critical", Type: gateway.TypeKubernetesEvent, Source: "k8s-event", Cluster: "a",
		Resource: gateway.Resource{APIVersion: "v1", Kind: "Pod", Namespace: "shop", Name: "cart-1"},
		Owner:    gateway.Resource{APIVersion: "apps/v1", Kind: "Deployment", Namespace: "shop", Name: "cart"},
		Labels:   map[string]string{"a": "ü\n\u2028", "b": ""}, Annotations: map[string]string{"c": "d"},
		Resolved: true, StartsAt: at, EndsAt: at.Add(time.Minute), ReceivedAt: at.Add(time.Hour),
		EventID: "uid", EventCount: 1 << 60, Normal: true, Test: true, Payload: []byte(`{"a": "ü"}`),
		Fingerprint: gateway.Fingerprint{1, 2, 3}, Alert: gateway.AlertHash{4, 5, 6},
	}
}

// kept is what comes out again of what is put in.
func kept(t *testing.T, s gateway.Signal) *gateway.Signal {
	t.Helper()
	value, err := encode(&s)
	if err != nil {
		t.Fatal(err)
	}
	seal(value, 7)
	got, err := decode(value)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestSignalsComeBackWhole(t *testing.T) {
	reflected := reflect.ValueOf(full())
	for i := range reflected.NumField() {
		// An invalid signal is never kept, and whoever drains one knows that.
		if name := reflected.Type().Field(i).Name; name != "Err" && name != "Spooled" && reflected.Field(i).IsZero() {
			t.Errorf("the test does not try %s", name)
		}
	}
	change := func(do func(s *gateway.Signal)) gateway.Signal {
		s := full()
		do(&s)
		return s
	}
	tests := map[string]gateway.Signal{
		"all fields": full(),
		"next to none": {
			Name: "a", ReceivedAt: time.Date(2031, 1, 1, 0, 0, 0, 0, time.UTC), Fingerprint: gateway.Fingerprint{1},
		},
		"a payload that is no text": change(func(s *gateway.Signal) { s.Payload = []byte{0xff, 0, '"'} }),
		"the first time there is":   change(func(s *gateway.Signal) { s.EndsAt = time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC) }),
	}
	for name, s := range tests {
		t.Run(name, func(t *testing.T) {
			if got := kept(t, s); !equal(*got, s) {
				t.Errorf("came back as\n%+v, was\n%+v", *got, s)
			}
		})
	}
}

func TestTimesThatCanNotBeWritten(t *testing.T) {
	for _, year := range []int{-200000, -1, 10000, 200000} {
		s := full()
		s.EndsAt = time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC)
		if got := kept(t, s).EndsAt.Year(); got != max(0, min(year, 9999)) {
			t.Errorf("the year %d comes back as %d", year, got)
		}
	}
}

func TestPayloadsAreCut(t *testing.T) {
	for _, letter := range []string{"x", "ü", "€", "𝄞"} {
		s := full()
		s.Payload = []byte("-" + strings.Repeat(letter, 9000))
		got := kept(t, s).Payload
		if !bytes.HasPrefix(s.Payload, got) || !utf8.Valid(got) || len(got) <= 8<<10 || len(got) > maxPayload {
			t.Errorf("of a payload of %s %d bytes are kept, %d is the most", letter, len(got), maxPayload)
		}
	}
}

func TestDamagedValues(t *testing.T) {
	s := full()
	value, err := encode(&s)
	if err != nil {
		t.Fatal(err)
	}
	seal(value, 7)
	for i := range value {
		damaged := bytes.Clone(value)
		damaged[i] ^= 0x10
		if _, err := decode(damaged); err == nil {
			t.Fatalf("byte %d may be anything", i)
		}
		if _, err := decode(value[:i]); err == nil {
			t.Fatalf("%d bytes suffice", i)
		}
	}
	value[0] = schema + 1
	if _, err := decode(value); err == nil || !strings.Contains(err.Error(), "not known to this version") || errors.Is(err, errDamaged) {
		t.Errorf("a later schema is %v", err)
	}
}

func FuzzDecode(f *testing.F) {
	s := full()
	body, err := json.Marshal(newRecord(&s))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(body, true)
	f.Add([]byte(`{"fingerprint":"","startsAt":"0000-01-01T00:00:00Z"}`), true)
	f.Add([]byte{schema}, false)
	f.Fuzz(func(t *testing.T, text []byte, sealed bool) {
		value := text
		if sealed {
			value = append(make([]byte, headerSize), text...)
			value[0] = schema
			copy(value[offsetFingerprint:], s.Fingerprint[:])
			seal(value, 1)
		}
		first, err := decode(value)
		if err != nil {
			return
		}
		second := kept(t, *first)
		if first.Payload = clip(first.Payload); len(first.Payload) == 0 {
			first.Payload, second.Payload = nil, nil
		}
		normalize(first)
		normalize(second)
		if !equal(first, second) {
			t.Errorf("came back as\n%+v, was\n%+v", second, first)
		}
	})
}

// equal compares signals, which have no errors in them.
func equal(a, b any) bool { return reflect.DeepEqual(a, b) }

// normalize makes equal what means the same.
func normalize(s *gateway.Signal) {
	for _, at := range []*time.Time{&s.StartsAt, &s.EndsAt, &s.ReceivedAt} {
		text, _ := stamp{*at}.MarshalText()
		_ = at.UnmarshalText(text)
	}
	if len(s.Labels) == 0 {
		s.Labels = nil
	}
	if len(s.Annotations) == 0 {
		s.Annotations = nil
	}
}
