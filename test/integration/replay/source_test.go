package replay

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kubernaut.io/gateway/app"
	"kubernaut.io/gateway/config"
	"kubernaut.io/gateway/recording"
	"kubernaut.io/gateway/test/harness"
)

// binary posts an event in the binary mode, with the data of a content type.
func binary(t *testing.T, g *harness.Gateway, source, contentType, data string) harness.Answer {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, g.URL+"/webhook/"+source, strings.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"Content-Type": contentType, "ce-specversion": "1.0", "ce-id": "1", "ce-type": "io.example.rollout.failed", "ce-source": "/delivery",
		"ce-subject": "shop/checkout", "ce-environment": "staging", "Authorization": "Bearer hidden", "ce-token": "hidden too",
	} {
		request.Header.Set(name, value)
	}
	answer, err := harness.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// TestSourcesOfEveryFormat has the example sources take their example payloads, and
// what was decided explained and decided again from the recording, which has nothing
// of the headers but an event's attributes.
func TestSourcesOfEveryFormat(t *testing.T) {
	t.Parallel()
	examples, err := config.Load("../../../examples/sources/gateway.yaml")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	g := shared.Start(t, func(c *config.Config) {
		c.Sources, c.Severity, c.Record.Dir = examples.Sources, examples.Severity, dir
	})
	var ids []string
	for _, s := range examples.Sources {
		body, err := os.ReadFile(filepath.Join("../../../examples/sources", s.Name+".json"))
		if err != nil {
			t.Fatal(err)
		}
		first, second := g.Post(t, s.Name, body), g.Post(t, s.Name, body)
		if first.Status != http.StatusCreated || first.Signals[0].Outcome != "created" {
			t.Errorf("%s: %d %s", s.Name, first.Status, first.Body)
		}
		if second.Status != http.StatusAccepted || second.Signals[0].Outcome != "duplicate" {
			t.Errorf("%s again: %d %s", s.Name, second.Status, second.Body)
		}
		ids = append(ids, first.RequestID)
	}
	for contentType, data := range map[string]string{"application/json": `{"message":"x"}`, "application/vnd.example+json": `{"message":"y","password":"hidden"}`} {
		answer := binary(t, g, "delivery", contentType, data)
		if answer.Status/100 != 2 || answer.Summary["rejected"] != 0 {
			t.Errorf("%s: %d %s", contentType, answer.Status, answer.Body)
		}
		ids = append(ids, answer.RequestID)
	}
	if answer := binary(t, g, "delivery", "text/plain", "no JSON"); answer.Status != http.StatusBadRequest || !strings.Contains(string(answer.Body), "mapping.annotations: ") {
		t.Errorf("%d %s", answer.Status, answer.Body)
	} else {
		ids = append(ids, answer.RequestID)
	}
	if answer := binary(t, g, "falco", "text/plain", "no JSON"); answer.Status != http.StatusUnsupportedMediaType {
		t.Errorf("%d %s", answer.Status, answer.Body)
	}

	for _, id := range ids {
		for _, e := range mustExplain(t, g, id) {
			if e.Signal == nil || e.Signal.Name == "" || e.Fingerprint == nil && e.Signal.Fault == "" {
				t.Errorf("%s: %+v", id, e)
			}
		}
	}
	g.Stop(t)
	result, err := app.RunReplay(t.Context(), app.ReplayOptions{Paths: []string{dir}})
	if err != nil {
		t.Fatal(err)
	}
	if c := result.Check; !c.Exact || c.Same != c.Decisions || c.Decisions < int64(len(ids)) || len(result.Warnings) > 0 {
		t.Errorf("%+v, warnings %q", c, result.Warnings)
	}
	files, err := recording.Find(dir)
	if err != nil {
		t.Fatal(err)
	}
	for e, err := range recording.Read(files...) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Request != nil && bytes.Contains(e.Request.Body, []byte("hidden")) {
			t.Errorf("a secret is recorded: %s", e.Request.Body)
		}
	}
	for _, id := range ids {
		var text bytes.Buffer
		if err := app.ExplainRecorded(t.Context(), &text, id, []string{dir}, false); err != nil {
			t.Errorf("%s: %v", id, err)
		}
		if strings.Contains(text.String(), "hidden") {
			t.Errorf("%s shows a secret: %s", id, &text)
		}
	}
}
