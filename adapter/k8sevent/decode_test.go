package k8sevent

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	gateway "kubernaut.io/gateway"
)

// coreEvent is what a kubelet's event looks like in core/v1.
const coreEvent = `{"kind":"Event","apiVersion":"v1","metadata":{"name":"checkout-7d9c.18a1","namespace":"shop","uid":"0f1e2d3c",
"resourceVersion":"812","creationTimestamp":"2026-03-02T08:14:30Z","labels":{"team":"payments","reason":"mine"},"managedFields":[{"manager":"kubelet"}]},
"involvedObject":{"kind":"Pod","namespace":"shop","name":"checkout-7d9c","uid":"77aa","apiVersion":"v1","resourceVersion":"800","fieldPath":"spec.containers{checkout}"},
"reason":"BackOff","message":"Back-off restarting failed container","source":{"component":"kubelet","host":"worker-1"},
"firstTimestamp":"2026-03-02T08:14:22Z","lastTimestamp":"2026-03-02T08:20:22Z","count":7,"type":"Warning",
"eventTime":null,"reportingComponent":"kubelet","reportingInstance":"worker-1"}`

// newEvent is what a scheduler's looks like in events.k8s.io/v1.
const newEvent = `{"apiVersion":"events.k8s.io/v1","kind":"Event","metadata":{"name":"orders-0.18a2","namespace":"shop","creationTimestamp":"2026-03-02T08:14:31Z"},
"eventTime":"2026-03-02T08:14:30.123456Z","series":{"count":3,"lastObservedTime":"2026-03-02T08:20:00.000000Z"},
"reportingController":"default-scheduler","reportingInstance":"control-1","action":"Scheduling","reason":"FailedScheduling",
"regarding":{"kind":"Pod","namespace":"shop","name":"orders-0","apiVersion":"v1"},"note":"0/3 nodes are available","type":"Warning",
"deprecatedSource":{},"deprecatedFirstTimestamp":null,"deprecatedLastTimestamp":null}`

func mustDecode(tb testing.TB, body string) gateway.Batch {
	tb.Helper()
	b, err := Decode([]byte(body))
	if err != nil {
		tb.Fatalf("Decode: %v", err)
	}
	return b
}

// shown is the same for signals that are the same, with maps in order.
func shown(s gateway.Signal) string { return fmt.Sprintf("%+v", s) }

func pod(name string) gateway.Resource {
	return gateway.Resource{APIVersion: "v1", Kind: "Pod", Namespace: "shop", Name: name}
}

func TestDecodeEvents(t *testing.T) {
	wantCore := gateway.Signal{
		Name: "BackOff", Severity: "warning", Resource: pod("checkout-7d9c"),
		Labels: map[string]string{
			"reason": "BackOff", "type": "Warning", "kind": "Pod", "namespace": "shop", "name": "checkout-7d9c",
			"component": "kubelet", "container": "checkout", "team": "payments",
		},
		Annotations: map[string]string{"message": "Back-off restarting failed container"},
		StartsAt:    time.Date(2026, 3, 2, 8, 14, 22, 0, time.UTC),
		EventID:     "0f1e2d3c", EventCount: 7,
	}
	wantNew := gateway.Signal{
		Name: "FailedScheduling", Severity: "warning", Resource: pod("orders-0"),
		Labels: map[string]string{
			"reason": "FailedScheduling", "type": "Warning", "kind": "Pod", "namespace": "shop", "name": "orders-0", "component": "default-scheduler",
		},
		Annotations: map[string]string{"message": "0/3 nodes are available"},
		StartsAt:    time.Date(2026, 3, 2, 8, 14, 30, 123456000, time.UTC),
		EventID:     "shop/orders-0.18a2", EventCount: 3,
	}
	bare := strings.Replace(coreEvent, `"kind":"Event","apiVersion":"v1",`, "", 1)
	for _, row := range []struct {
		name, body string
		want       []gateway.Signal
	}{
		{"core/v1", coreEvent, []gateway.Signal{wantCore}},
		{"events.k8s.io/v1", newEvent, []gateway.Signal{wantNew}},
		{"spaces around", " \n" + newEvent + "\r\n\t", []gateway.Signal{wantNew}},
		{"from a typed client", bare, []gateway.Signal{wantCore}},
		{"List of both", `{"apiVersion":"v1","kind":"List","items":[` + coreEvent + ",\n" + newEvent + `],"metadata":{"resourceVersion":""}}`, []gateway.Signal{wantCore, wantNew}},
		{"EventList, whose items have no kind", `{"kind":"EventList","apiVersion":"v1","metadata":{"resourceVersion":"9","count":"x"},"items":[` + bare + `]}`, []gateway.Signal{wantCore}},
		{"EventList of events.k8s.io", `{"kind":"EventList","apiVersion":"events.k8s.io/v1","items":[ ` + newEvent + ` ]}`, []gateway.Signal{wantNew}},
		{"List of a typed client", `{"kind":"List","items":[` + bare + `]}`, []gateway.Signal{wantCore}},
	} {
		t.Run(row.name, func(t *testing.T) {
			b := mustDecode(t, row.body)
			if len(b.Signals) != len(row.want) {
				t.Fatalf("%d signals, want %d", len(b.Signals), len(row.want))
			}
			for i, got := range b.Signals {
				if !strings.Contains(row.body, string(got.Payload)) || got.Payload[0] != '{' || got.Payload[len(got.Payload)-1] != '}' {
					t.Errorf("payload %d: %s", i, got.Payload)
				}
				got.Payload = nil
				want := row.want[i]
				want.Type = gateway.TypeKubernetesEvent
				if shown(got) != shown(want) {
					t.Errorf("signal %d:\ngot  %+v\nwant %+v", i, got, want)
				}
			}
		})
	}
}

func TestEventFields(t *testing.T) {
	at := func(s string) time.Time {
		v, err := time.Parse(time.RFC3339, s)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	first, second, third, fourth := "2026-03-02T08:00:01Z", "2026-03-02T08:00:02Z", "2026-03-02T08:00:03Z", "2026-03-02T08:00:04Z"
	for _, row := range []struct {
		name, fields string
		got          func(s gateway.Signal) any
		want         any
	}{
		{"normal", `"type":"Normal"`, func(s gateway.Signal) any { return []any{s.Severity, s.Normal} }, []any{"info", true}},
		{"warning", `"type":"Warning"`, func(s gateway.Signal) any { return []any{s.Severity, s.Normal} }, []any{"warning", false}},
		{"error", `"type":"Error"`, func(s gateway.Signal) any { return []any{s.Severity, s.Normal} }, []any{"critical", false}},
		{"a type of its own", `"type":"Notice"`, func(s gateway.Signal) any { return []any{s.Severity, s.Normal} }, []any{"Notice", false}},
		{"no type", `"x":1`, func(s gateway.Signal) any { return []any{s.Severity, s.Normal} }, []any{"", false}},

		{"no count", `"x":1`, count, int64(1)},
		{"null counts", `"count":null,"series":null,"deprecatedCount":null`, count, int64(1)},
		{"zero counts", `"count":0,"series":{"count":0}`, count, int64(1)},
		{"negative count", `"count":-5`, count, int64(1)},
		{"count", `"count":4`, count, int64(4)},
		{"deprecated count", `"deprecatedCount":5`, count, int64(5)},
		{"series", `"series":{"count":6,"lastObservedTime":"` + first + `"}`, count, int64(6)},
		{"older series", `"series":{"count":6,"lastTimestamp":"` + first + `","state":"Ongoing"}`, count, int64(6)},
		{"the highest of all", `"count":4,"deprecatedCount":9,"series":{"count":6}`, count, int64(9)},

		{"first timestamp", `"firstTimestamp":"` + first + `","deprecatedFirstTimestamp":"` + second + `","eventTime":"` + third + `"`, start, at(first)},
		{"deprecated first timestamp", `"firstTimestamp":null,"deprecatedFirstTimestamp":"` + second + `","eventTime":"` + third + `"`, start, at(second)},
		{"event time", `"eventTime":"` + third + `","lastTimestamp":"` + fourth + `"`, start, at(third)},
		{"creation", `"metadata":{"uid":"u","creationTimestamp":"` + fourth + `"}`, start, at(fourth)},
		{"no time", `"eventTime":null`, start, time.Time{}},

		{"uid", `"metadata":{"uid":"u","name":"n","namespace":"shop"}`, id, "u"},
		{"name", `"metadata":{"name":"n","namespace":"shop"}`, id, "shop/n"},

		{"component of core/v1", `"reportingComponent":"a"`, label("component"), "a"},
		{"deprecated component", `"deprecatedSource":{"component":"a"}`, label("component"), "a"},
		{"source before reporting", `"source":{"component":"a"},"reportingComponent":"b"`, label("component"), "a"},
		{"init container", about(`"fieldPath":"spec.initContainers{setup}"`), label("container"), "setup"},
		{"ephemeral container", about(`"fieldPath":"spec.ephemeralContainers{debug}"`), label("container"), "debug"},
		{"volume", about(`"fieldPath":"spec.volumes{data}"`), label("container"), ""},
		{"half a path", about(`"fieldPath":"spec.containers{data"`), label("container"), ""},
		{"cluster", `"metadata":{"uid":"u","labels":{"cluster":"eu-1"}}`, func(s gateway.Signal) any { return s.Cluster }, "eu-1"},
		{
			"own labels never override", `"reason":"R","metadata":{"uid":"u","labels":{"reason":"mine","kind":"mine","team":"a"}}`, func(s gateway.Signal) any { return s.Labels },
			map[string]string{"reason": "R", "kind": "mine", "team": "a"},
		},
		{"no message", `"message":""`, func(s gateway.Signal) any { return len(s.Annotations) }, 0},
		{"no reason", `"reason":""`, func(s gateway.Signal) any { return s.Name }, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			meta := `"metadata":{"uid":"u"},`
			if strings.Contains(row.fields, "metadata") {
				meta = ""
			}
			s := mustDecode(t, `{"kind":"Event","apiVersion":"v1",`+meta+row.fields+`}`).Signals[0]
			if s.Err != nil {
				t.Fatal(s.Err)
			}
			if got := row.got(s); !reflect.DeepEqual(got, row.want) {
				t.Errorf("got %v, want %v", got, row.want)
			}
		})
	}
}

func count(s gateway.Signal) any { return s.EventCount }
func start(s gateway.Signal) any { return s.StartsAt }
func id(s gateway.Signal) any    { return s.EventID }

func label(name string) func(s gateway.Signal) any {
	return func(s gateway.Signal) any { return s.Labels[name] }
}

func about(fields string) string {
	return `"involvedObject":{"kind":"Pod","namespace":"shop","name":"api-0",` + fields + `}`
}

func TestEventResource(t *testing.T) {
	for _, row := range []struct {
		name, object string
		want         gateway.Resource
		wantErr      string
	}{
		{name: "none", object: `{}`},
		{name: "no name", object: `{"kind":"Pod","namespace":"shop"}`},
		{name: "no kind", object: `{"name":"x","namespace":"shop"}`},
		{name: "pod", object: `{"kind":"Pod","apiVersion":"v1","namespace":"shop","name":"api-0"}`, want: pod("api-0")},
		{name: "pod without a version", object: `{"kind":"Pod","namespace":"shop","name":"api-0"}`, want: pod("api-0")},
		{name: "deployment without a version", object: `{"kind":"Deployment","namespace":"shop","name":"api"}`, want: gateway.Resource{APIVersion: "apps/v1", Kind: "Deployment", Namespace: "shop", Name: "api"}},
		{name: "node of a kubelet", object: `{"kind":"Node","name":"worker-1","uid":"worker-1"}`, want: gateway.Resource{APIVersion: "v1", Kind: "Node", Name: "worker-1"}},
		{name: "node with the namespace of its events", object: `{"kind":"Node","apiVersion":"v1","namespace":"default","name":"worker-1"}`, want: gateway.Resource{APIVersion: "v1", Kind: "Node", Name: "worker-1"}},
		{name: "namespace", object: `{"kind":"Namespace","name":"shop"}`, want: gateway.Resource{APIVersion: "v1", Kind: "Namespace", Name: "shop"}},
		{name: "volume", object: `{"kind":"PersistentVolume","namespace":"","name":"pvc-1"}`, want: gateway.Resource{APIVersion: "v1", Kind: "PersistentVolume", Name: "pvc-1"}},
		{name: "another group's node", object: `{"kind":"Node","apiVersion":"longhorn.io/v1beta2","namespace":"longhorn-system","name":"worker-1"}`, want: gateway.Resource{APIVersion: "longhorn.io/v1beta2", Kind: "Node", Namespace: "longhorn-system", Name: "worker-1"}},
		{name: "custom resource", object: `{"kind":"Certificate","apiVersion":"cert-manager.io/v1","namespace":"shop","name":"tls"}`, want: gateway.Resource{APIVersion: "cert-manager.io/v1", Kind: "Certificate", Namespace: "shop", Name: "tls"}},
		{name: "cluster-scoped custom resource", object: `{"kind":"NodeClaim","apiVersion":"karpenter.sh/v1","name":"default-x7x2k"}`, want: gateway.Resource{APIVersion: "karpenter.sh/v1", Kind: "NodeClaim", Name: "default-x7x2k"}},
		{name: "role with colons", object: `{"kind":"ClusterRole","apiVersion":"rbac.authorization.k8s.io/v1","name":"system:node"}`, want: gateway.Resource{APIVersion: "rbac.authorization.k8s.io/v1", Kind: "ClusterRole", Name: "system:node"}},
		{name: "NUL in the name", object: `{"kind":"Pod","namespace":"shop","name":"a\u0000"}`, wantErr: "involvedObject.name: "},
		{name: "path in the name", object: `{"kind":"Pod","namespace":"shop","name":"../x"}`, wantErr: "involvedObject.name: "},
		{name: "NUL in the namespace", object: `{"kind":"Pod","namespace":"shop\u0000","name":"a"}`, wantErr: "involvedObject.namespace: "},
		{name: "NUL in the kind", object: `{"kind":"Pod\u0000","namespace":"shop","name":"a"}`, wantErr: "involvedObject.kind: "},
		{name: "NUL in the version", object: `{"kind":"Pod","apiVersion":"v1\u0000","namespace":"shop","name":"a"}`, wantErr: "involvedObject.apiVersion: "},
	} {
		for _, field := range []string{"involvedObject", "regarding"} {
			t.Run(row.name+" "+field, func(t *testing.T) {
				s := mustDecode(t, `{"kind":"Event","metadata":{"uid":"u","namespace":"default"},"`+field+`":`+row.object+`}`).Signals[0]
				if s.Resource != row.want {
					t.Errorf("got %+v, want %+v", s.Resource, row.want)
				}
				if (s.Err == nil) != (row.wantErr == "") || s.Err != nil && !strings.HasPrefix(s.Err.Error(), row.wantErr) {
					t.Errorf("got %v, want %q", s.Err, row.wantErr)
				}
			})
		}
	}
}

// badBodies are no Events, each with how its error begins.
var badBodies = []struct{ name, body, want string }{
	{"empty", "", "body: empty"},
	{"spaces", " \n", "body: empty"},
	{"not JSON", "event!", "body: not valid JSON at byte 0: "},
	{"null", "null", "body: null; want an object"},
	{"a list", "[" + coreEvent + "]", "body: a list; want an object"},
	{"empty object", "{}", "kind: missing; want Event, EventList or List"},
	{"a Pod", `{"kind":"Pod","apiVersion":"v1","metadata":{"name":"x"}}`, `kind: "Pod"; want Event, EventList or List`},
	{"a PodList", `{"kind":"PodList","apiVersion":"v1","items":[` + coreEvent + `]}`, `kind: "PodList"; want `},
	{"event in other letters", `{"kind":"event","apiVersion":"v1"}`, `kind: "event"; want `},
	{"kind a number", `{"kind":1}`, "kind: a number; want a string"},
	{"kind twice", `{"kind":"Event","kind":"List"}`, "kind: given twice; "},
	{"long kind", `{"kind":"` + strings.Repeat("K", 1<<16) + `"}`, `kind: "KKK`},
	{"wrong group", `{"kind":"Event","apiVersion":"apps/v1"}`, `apiVersion: "apps/v1"; want v1 or events.k8s.io/v1`},
	{"wrong group of a list", `{"kind":"List","apiVersion":"apps/v1","items":[` + coreEvent + `]}`, `apiVersion: "apps/v1"; want `},
	{"list without kind", `{"items":[` + coreEvent + `]}`, "kind: missing; "},
	{"list without items", `{"kind":"List"}`, "items: missing or empty; "},
	{"null items", `{"kind":"List","items":null}`, "items: missing or empty; "},
	{"empty items", `{"kind":"EventList","apiVersion":"v1","items":[]}`, "items: missing or empty; "},
	{"items an object", `{"kind":"List","items":{}}`, "items: an object; want a list of Events"},
	{"items a number", `{"kind":"List","items":1}`, "items: a number; want a list of Events"},
	{"items twice", `{"kind":"List","items":[{}],"items":[{}]}`, "items: given twice; "},
	{"cut", coreEvent[:200], "body: ends in the middle; "},
	{"list cut", `{"kind":"List","items":[` + coreEvent, "body: ends in the middle; "},
	{"trailing brace", coreEvent + "}", "body: not valid JSON at byte "},
	{"two objects", coreEvent + newEvent, "body: something follows "},
	{"raw NUL", `{"kind":"Event","reason":"a` + "\x00" + `"}`, "reason: not valid JSON at byte "},
	{"nested too deep", `{"kind":"Event","x":` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000) + `}`, "x.0.0.0"},
	{"more items than can be real", `{"kind":"List","items":[` + strings.Repeat("{},", maxItems) + "{}]}", "items: more than 100000 of them; "},
}

func TestDecodeBadBody(t *testing.T) {
	for _, row := range badBodies {
		t.Run(row.name, func(t *testing.T) {
			b, err := Decode([]byte(row.body))
			if err == nil {
				t.Fatalf("no error; %+v", b)
			}
			if !strings.HasPrefix(err.Error(), row.want) || len(err.Error()) > 300 {
				t.Errorf("got %.400q, want %q and no more than 300 bytes", err, row.want)
			}
		})
	}
}

// badEvents are objects that are no Events, each with how its error begins.
var badEvents = []struct{ name, event, want string }{
	{"null", `null`, "event: null; want an object"},
	{"a number", `1`, "event: a number; want an object"},
	{"a Pod", `{"kind":"Pod","apiVersion":"v1","metadata":{"uid":"u"}}`, `kind: "Pod"; want Event`},
	{"wrong group", `{"kind":"Event","apiVersion":"apps/v1","metadata":{"uid":"u"}}`, `apiVersion: "apps/v1"; want `},
	{"count a string", `{"kind":"Event","metadata":{"uid":"u"},"count":"7"}`, "count: a string; want a whole number"},
	{"count a fraction", `{"kind":"Event","metadata":{"uid":"u"},"count":1.5}`, "count: too large or with a fraction; "},
	{"count too large", `{"kind":"Event","metadata":{"uid":"u"},"series":{"count":99999999999999999999}}`, "series.count: too large or with a fraction; "},
	{"reason a number", `{"kind":"Event","metadata":{"uid":"u"},"reason":1}`, "reason: a number; want a string"},
	{"metadata a string", `{"kind":"Event","metadata":"u"}`, "metadata: a string; want an object"},
	{"labels a list", `{"kind":"Event","metadata":{"uid":"u","labels":["a"]}}`, "metadata.labels: a list; want an object"},
	{"a number as label", `{"kind":"Event","metadata":{"uid":"u","labels":{"a":1}}}`, "metadata.labels.a: a number; want a string"},
	{"time no time", `{"kind":"Event","metadata":{"uid":"u"},"firstTimestamp":"today"}`, "firstTimestamp: not a time; want RFC 3339"},
	{"time a number", `{"kind":"Event","metadata":{"uid":"u"},"eventTime":17}`, "eventTime: a number; want a time"},
	{"object a string", `{"kind":"Event","metadata":{"uid":"u"},"involvedObject":"pod/x"}`, "involvedObject: a string; want an object"},
	{"a name twice", `{"kind":"Event","metadata":{"uid":"u","uid":"v"}}`, "metadata.uid: given twice; "},
	{"an unknown name twice", `{"kind":"Event","metadata":{"uid":"u"},"x":1,"x":2}`, "x: given twice; "},
	{"bad UTF-8", "{\"kind\":\"Event\",\"metadata\":{\"uid\":\"u\"},\"reason\":\"\xff\"}", "reason: not valid JSON at byte "},
	{"half a surrogate pair", `{"kind":"Event","metadata":{"uid":"u"},"note":"\ud800"}`, "note: not valid JSON at byte "},
}

func TestDecodeBadEventHurtsOnlyItself(t *testing.T) {
	want := mustDecode(t, coreEvent).Signals[0]
	for _, row := range badEvents {
		t.Run(row.name, func(t *testing.T) {
			b := mustDecode(t, `{"kind":"List","apiVersion":"v1","items":[`+coreEvent+","+row.event+" , "+coreEvent+`]}`)
			if len(b.Signals) != 3 {
				t.Fatalf("%d signals, want 3", len(b.Signals))
			}
			for _, i := range []int{0, 2} {
				if shown(b.Signals[i]) != shown(want) {
					t.Errorf("signal %d: got  %+v\nwant %+v", i, b.Signals[i], want)
				}
			}
			bad := b.Signals[1]
			if bad.Err == nil || !strings.HasPrefix(bad.Err.Error(), row.want) || len(bad.Err.Error()) > 300 {
				t.Errorf("got %.400q, want %q", bad.Err, row.want)
			}
			if string(bad.Payload) != row.event {
				t.Errorf("payload %s, want the event", bad.Payload)
			}
			if !strings.HasPrefix(row.event, `{"kind":"Event"`) || strings.Contains(row.event, "apps/v1") {
				return
			}
			alone := mustDecode(t, row.event).Signals[0]
			if alone.Err == nil || !strings.HasPrefix(alone.Err.Error(), row.want) {
				t.Errorf("alone: got %.400q, want %q", alone.Err, row.want)
			}
		})
	}
}

func TestDecodeOverlooksTheRest(t *testing.T) {
	for _, extra := range []string{`"metadata":{"a":1,"a":2}`, "\"x\":\"\xff\"", `"metadata":[]`, `"count":"many"`} {
		b := mustDecode(t, `{"kind":"List",`+extra+`,"items":[`+coreEvent+`]}`)
		if len(b.Signals) != 1 || b.Signals[0].Err != nil {
			t.Errorf("%s: %d signals, first with %v", extra, len(b.Signals), b.Signals[0].Err)
		}
	}
}

func TestPayloadAliasesBody(t *testing.T) {
	body := []byte(`{"kind":"List","items":[ ` + coreEvent + " , " + newEvent + " ]}")
	b, err := Decode(body)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{coreEvent, newEvent} {
		if string(b.Signals[i].Payload) != want {
			t.Errorf("payload %d: got %s, want %s", i, b.Signals[i].Payload, want)
		}
	}
	copy(body, bytes.Repeat([]byte("#"), len(body)))
	if b.Signals[0].Payload[0] != '#' || b.Signals[0].Name != "BackOff" {
		t.Errorf("payload %s is a copy, or name %q is none", b.Signals[0].Payload, b.Signals[0].Name)
	}
}

func TestDecodeTakesAnEventWithoutIdentity(t *testing.T) {
	b, err := Decode([]byte(`{"kind":"Event","apiVersion":"v1","type":"Warning","reason":"BackOff","involvedObject":{"kind":"Pod","namespace":"shop","name":"web"}}`))
	if err != nil || b.Signals[0].Err != nil || b.Signals[0].EventID != "" || b.Signals[0].EventCount != 1 {
		t.Errorf("got %+v, %v", b.Signals, err)
	}
}
