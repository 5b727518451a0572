package doctor_test

import (
	"bytes"
	"context"
	"encoding/json"
	"testing"
	"time"

	"kubernaut.io/gateway/doctor"
)

// maxDiagnosis is far beyond what any input of the fuzzer's size takes.
const maxDiagnosis = 20 * time.Second

// FuzzDiagnose gives anything to the doctor as the file of an Alertmanager, of
// Grafana and of templates, and as what is in force: it never panics, ends, and what
// it says can be written.
func FuzzDiagnose(f *testing.F) {
	for name := range good {
		f.Add([]byte(mustRead(f, name)), []byte(status))
	}
	for _, one := range faults {
		_, text := one.put(f)
		f.Add([]byte(text), []byte(text))
	}
	f.Add([]byte("a: &a [*a]\n"), []byte("route: {receiver: \"\\e[2J\"}"))
	f.Fuzz(func(t *testing.T, file, inForce []byte) {
		one := doctor.File{Name: "file", Data: file}
		ctx, cancel := context.WithTimeout(context.Background(), maxDiagnosis)
		defer cancel()
		report, err := doctor.Diagnose(ctx, doctor.Options{
			Gateway: secured(), Grafana: []doctor.File{one}, Templates: []doctor.File{one},
			Alertmanagers: []doctor.Alertmanager{{File: &one, Running: []*doctor.Running{{
				URL: "http://am", Version: "0.25.0", Config: inForce, Alerts: alerts(3, "cluster", "a"),
			}}}},
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := json.Marshal(report); err != nil {
			t.Fatal(err)
		}
		var text bytes.Buffer
		if err := report.WriteText(&text); err != nil {
			t.Fatal(err)
		}
		if bytes.ContainsFunc(text.Bytes(), func(r rune) bool { return r < ' ' && r != '\n' || r == 0x7f || 0x80 <= r && r < 0xa0 }) {
			t.Errorf("what may do things to a terminal: %q", text.Bytes())
		}
		for i := range report.Findings {
			checkFinding(t, &report.Findings[i])
		}
	})
}
