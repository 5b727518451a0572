package backfill_test

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"kubernaut.io/gateway/backfill"
)

// badInputs are no inputs, each with what its error says.
var badInputs = []struct{ name, text, want string }{
	{"empty", "", "empty; want Alertmanager webhook bodies"},
	{"blank", " \n", "empty; want Alertmanager webhook bodies"},
	{"text", "ALERTS{}", "neither a JSON object nor a list of them; want"},
	{"UTF-16", "\xff\xfe{\x00}\x00", "neither a JSON object nor a list of them; want"},
	{"a number", "1", "neither a JSON object nor a list of them; want"},
	{"a list of numbers", "[1]", "neither a JSON object nor a list of them; want"},
	{"a list of lists", "[[]]", "neither a JSON object nor a list of them; want"},
	{"an open list", "[", "neither a JSON object nor a list of them; want"},
	{"empty object", "{}", `an object of []; want Alertmanager webhook bodies`},
	{"something else", `{"kind":"List","items":[]}`, `an object of ["kind" "items"]; want`},
	{"much else", `{"a":1,"b":1,"c":1,"d":1,"e":1,"f":1}`, `an object of ["a" "b" "c" "d" "e" "..."]; want`},
	{"not after an empty list", `[] {"alerts":1}`, "nothing that tells the format in the beginning; want"},

	{"second line cut", oneA + "\n" + oneA[:40], "line 2: not valid JSON at byte 40: unexpected end of JSON input; want an Alertmanager webhook body"},
	{"second line a list", oneA + "\n[]", "line 2: no JSON object; want an Alertmanager webhook body"},
	{"second line null", oneA + "\nnull", "line 2: null; want an Alertmanager webhook body"},
	{"third line an alert", oneA + "\n\n" + `{"labels":{}}`, "line 3: alerts: missing; want an Alertmanager webhook body"},
	{"two bodies a line", oneA + oneA, "line 1: not valid JSON at byte "},
	{"cut in the first line", oneA[:40], "ends in the middle; want the rest of the JSON"},
	{"cut pretty", "{\n  \"alerts\": [\n", "ends in the middle; want the rest of the JSON"},
	{"bad pretty", "{\n\"alerts\": x}", "not valid JSON after byte "},
	{"no alerts", `{"version":"4"}`, "line 1: alerts: missing; want an Alertmanager webhook body"},
	{"alerts an object", `{"alerts":{}}`, "line 1: alerts: no list; want"},
	{"alerts null", `{"alerts":null}`, "line 1: alerts: empty; want"},
	{"alerts empty", `{"alerts":[]}`, "line 1: alerts: empty; want"},
	{"no times", `{"alerts":[{"labels":{"a":"b"}}]}`, `line 1: no alert says when; want startsAt`},
	{"body a list", `{"time":"2026-03-02T08:30:00Z","body":[]}`, "line 1: body: no JSON object; want"},
	{"body without alerts", `{"time":"2026-03-02T08:30:00Z","body":{}}`, "line 1: alerts: missing; want"},
	{"time a number", `{"time":1,"body":` + oneA + `}`, "line 1: time: 1; want RFC 3339"},
	{"time in words", `{"time":"now","body":` + oneA + `}`, `line 1: time: "now"; want RFC 3339`},
	{
		"out of order", `{"time":"2026-03-02T08:30:00Z","body":` + oneA + "}\n" + `{"time":"2026-03-02T08:29:00Z","body":` + oneA + `}`,
		"line 2: time: 2026-03-02T08:29:00Z is before 2026-03-02T08:30:00Z, the time of one before it; want them in order",
	},
	{"second body bad", "[" + oneA + `,{"version":"4"}]`, "body 2: alerts: missing; want"},
	{"array cut", "[" + oneA + ",", "ends in the middle; want the rest of the JSON"},
	{"array and more", "[" + oneA + "]]", "not valid JSON after byte "},

	{"alert without labels", `[{"startsAt":"2026-03-02T08:30:00Z","status":{"state":"active"}}]`, "alert 1: labels: missing; want an object of strings"},
	{"alert with labels a list", `[{"labels":["a"],"startsAt":"2026-03-02T08:30:00Z"}]`, "alert 1: labels: array; want an object"},
	{"alert with a number", `[{"labels":{"a":1},"startsAt":"2026-03-02T08:30:00Z"}]`, "alert 1: labels: number; want a string"},
	{"alert without start", `[{"labels":{"a":"b"}}]`, `alert 1: startsAt: ""; want RFC 3339`},
	{"alert with bad start", `[{"labels":{"a":"b"},"startsAt":"2026-03-02"}]`, `alert 1: startsAt: "\"2026-03-02\""; want RFC 3339`},
	{"alert of a webhook", `[{"labels":{"a":"b"},"startsAt":"2026-03-02T08:30:00Z","status":"firing"}]`, "alert 1: status: string; want an object"},
	{"second alert a number", `[{"labels":{"a":"b"},"startsAt":"2026-03-02T08:30:00Z"},7]`, "alert 2: number; want an object"},

	{
		"failed query", `{"status":"error","errorType":"bad_data","error":"invalid parameter \"query\""}`,
		`answer 1: the query failed: bad_data: invalid parameter "query"; want an answer of status success`,
	},
	{"active alerts of Prometheus", `{"status":"success","data":{"alerts":[]}}`, "answer 1: data.resultType: missing; want matrix"},
	{"data a list", `{"status":"success","data":[]}`, "answer 1: data: no object; want"},
	{"scalar", `{"status":"success","data":{"resultType":"scalar","result":[1,"1"]}}`, `answer 1: data.resultType: "scalar"; want matrix`},
	{"resultType a number", `{"status":"success","data":{"resultType":1}}`, `answer 1: data.resultType: 1; want a string`},
	{"result an object", `{"status":"success","data":{"resultType":"matrix","result":{}}}`, "answer 1: data.result: no list; want"},
	{"second answer a list", queried() + "[]", "answer 2: answer: no object; want"},
	{"answer and more", queried() + "}", "not valid JSON after byte "},
	{"answer cut", queried(firing("a", 1))[:150], "answer 1: ends in the middle; want"},
	{"other metric", queried(firing("a", 1), serie("up", "", "a", "1", 1)), `answer 1: data.result 2: __name__: "up"; want ALERTS or ALERTS_FOR_STATE`},
	{"no metric", `[{"metric":{"alertname":"A"},"values":[[1,"1"]]}]`, `series 1: __name__: ""; want ALERTS`},
	{"other state", queried(serie("ALERTS", "inactive", "a", "1", 1)), `alertstate: "inactive"; want firing or pending`},
	{"no values", queried(firing("a")), "data.result 1: values: missing; want"},
	{
		"values and value", `[{"metric":{"__name__":"ALERTS_FOR_STATE"},"values":[[1,"1"]]},{"metric":{"__name__":"ALERTS_FOR_STATE"},"value":[1,"1"]}]`,
		"series 2: samples of one time beside series over time; want",
	},
	{"value two", queried(serie("ALERTS", "firing", "a", "2", 1)), "sample of value 2; want 1"},
	{"sample a number", `[{"metric":{"__name__":"ALERTS"},"values":[1]}]`, `series 1: sample 1; want [Unix seconds, "value"]`},
	{"sample null", `[{"metric":{"__name__":"ALERTS"},"values":[null]}]`, `series 1: sample null; want`},
	{"sample of one", `[{"metric":{"__name__":"ALERTS"},"values":[[1]]}]`, `series 1: sample [1]; want`},
	{"sample of numbers", `[{"metric":{"__name__":"ALERTS"},"values":[[1,1]]}]`, `series 1: sample [1,1]; want`},
	{"sample of words", `[{"metric":{"__name__":"ALERTS"},"values":[[1,"one"]]}]`, `series 1: sample [1,"one"]; want`},
	{"time negative", `[{"metric":{"__name__":"ALERTS"},"values":[[-1,"1"]]}]`, `series 1: sample [-1,"1"]; want`},
	{"time too late", `[{"metric":{"__name__":"ALERTS"},"values":[[253402300800,"1"]]}]`, `series 1: sample [253402300800,"1"]; want`},
	{"time a string", `[{"metric":{"__name__":"ALERTS"},"values":[["1","1"]]}]`, `series 1: sample ["1","1"]; want`},
	{"metric a list", `[{"metric":[],"values":[[1,"1"]]}]`, "series 1: metric: array; want an object"},
}

func TestReadRefuses(t *testing.T) {
	for _, row := range badInputs {
		t.Run(row.name, func(t *testing.T) {
			_, err := collect(t, row.text, backfill.Options{})
			if err == nil || !strings.HasPrefix(err.Error(), "input.json: ") || !strings.Contains(err.Error(), row.want) || len(err.Error()) > 600 {
				t.Errorf("got %v, want %q", err, row.want)
			}
		})
	}
}

func TestReadRefusesOptions(t *testing.T) {
	for want, o := range map[string]backfill.Options{
		"input.json: Gap: -1s; want a millisecond or more":             {Gap: -time.Second},
		"input.json: GroupWait: 1ns; want a millisecond or more":       {GroupWait: 1},
		"input.json: GroupInterval: 1µs; want a millisecond or more":   {GroupInterval: time.Microsecond},
		"input.json: RepeatInterval: -1ns; want a millisecond or more": {RepeatInterval: -1},
	} {
		if _, err := collect(t, oneA, o); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// An error of the reader is the last thing that comes, wherever it happens.
func TestReadTellsReadersErrors(t *testing.T) {
	failure := errors.New("unplugged")
	for _, name := range []string{"testdata/webhooks.jsonl", "testdata/alerts.json", "testdata/query_range.json", "testdata/promtool.json"} {
		text := mustReadFile(t, name)
		for cut := 0; cut < len(text); cut += 97 {
			broken := io.MultiReader(strings.NewReader(text[:cut]), iotest.ErrReader(failure))
			var last error
			for _, err := range backfill.Read(broken, name, backfill.Options{}) {
				if last != nil {
					t.Fatalf("%s at %d: more after an error", name, cut)
				}
				last = err
			}
			if !errors.Is(last, failure) || !strings.HasPrefix(last.Error(), name+": ") {
				t.Errorf("%s at %d: got %v, want %v", name, cut, last, failure)
			}
		}
	}
}

// Nobody is called after having said that it is enough.
func TestReadStops(t *testing.T) {
	texts := []string{oneA + "\n" + oneA, "[" + oneA + "," + oneA + "]"}
	for _, name := range []string{"testdata/alerts.json", "testdata/query_range.json", "testdata/query.json"} {
		texts = append(texts, mustReadFile(t, name))
	}
	for _, text := range texts {
		n := 0
		backfill.Read(strings.NewReader(text), "x", backfill.Options{})(func(backfill.Webhook, error) bool {
			n++
			return false
		})
		if n != 1 {
			t.Errorf("called %d times, want 1: %.60s", n, text)
		}
	}
}
