package k8sevent

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
)

// plain is an Event as a program would declare it that only decodes; event is
// the same with only what Decode reads.
type plain struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Metadata   struct {
		Name              string            `json:"name"`
		Namespace         string            `json:"namespace"`
		UID               string            `json:"uid"`
		ResourceVersion   string            `json:"resourceVersion"`
		CreationTimestamp time.Time         `json:"creationTimestamp"`
		Labels            map[string]string `json:"labels"`
		Annotations       map[string]string `json:"annotations"`
	} `json:"metadata"`
	InvolvedObject     plainReference `json:"involvedObject"`
	Related            plainReference `json:"related"`
	Reason             string         `json:"reason"`
	Message            string         `json:"message"`
	Type               string         `json:"type"`
	Action             string         `json:"action"`
	Source             plainSource    `json:"source"`
	ReportingComponent string         `json:"reportingComponent"`
	ReportingInstance  string         `json:"reportingInstance"`
	FirstTimestamp     time.Time      `json:"firstTimestamp"`
	LastTimestamp      time.Time      `json:"lastTimestamp"`
	EventTime          time.Time      `json:"eventTime"`
	Count              int64          `json:"count"`
	Series             struct {
		Count            int64     `json:"count"`
		LastObservedTime time.Time `json:"lastObservedTime"`
	} `json:"series"`
}

type plainSource struct {
	Component string `json:"component"`
	Host      string `json:"host"`
}

type plainReference struct {
	APIVersion      string `json:"apiVersion"`
	Kind            string `json:"kind"`
	Namespace       string `json:"namespace"`
	Name            string `json:"name"`
	UID             string `json:"uid"`
	ResourceVersion string `json:"resourceVersion"`
	FieldPath       string `json:"fieldPath"`
}

// managedFields is what the API server adds to a kubelet's Event, half of it.
const managedFields = `[{"manager":"kubelet","operation":"Update","apiVersion":"v1","time":"2026-03-02T08:20:22Z","fieldsType":"FieldsV1",
"fieldsV1":{"f:count":{},"f:firstTimestamp":{},"f:involvedObject":{},"f:lastTimestamp":{},"f:message":{},"f:reason":{},
"f:reportingComponent":{},"f:reportingInstance":{},"f:source":{"f:component":{},"f:host":{}},"f:type":{}}}]`

func BenchmarkDecode(b *testing.B) {
	for _, n := range []int{1, 10, 100} {
		one := strings.Replace(coreEvent, `[{"manager":"kubelet"}]`, managedFields, 1)
		body := []byte(one)
		if n > 1 {
			body = []byte(`{"kind":"List","apiVersion":"v1","items":[` + strings.Repeat(one+",", n-1) + one + `]}`)
		}
		run := func(name string, decode func() error) {
			b.Run(fmt.Sprintf("%s/events=%d", name, n), func(b *testing.B) {
				b.SetBytes(int64(len(body)))
				b.ReportAllocs()
				for b.Loop() {
					if err := decode(); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
		run("adapter", func() error {
			_, err := Decode(body)
			return err
		})
		run("bare", func() error {
			var d struct {
				plain
				Items []plain `json:"items"`
			}
			return json.Unmarshal(body, &d)
		})
		run("lean", func() error {
			var d struct {
				event
				Items []event `json:"items"`
			}
			return json.Unmarshal(body, &d)
		})
	}
}
