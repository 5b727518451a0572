package simulation

import (
	"fmt"

	gateway "kubernaut.io/gateway"
)

// trouble is one fault of one object. A twin is a second series about it.
type trouble struct{ alert, namespace, pod string }

// troubles are what may happen in a schedule: most of one fault in one
// namespace, so that either kind of storm may come of them.
var troubles = []trouble{
	{"CrashLoop", "shop", "cart"},
	{"CrashLoop", "shop", "pay"},
	{"NotReady", "shop", "web"},
	{"CrashLoop", "bank", "vault"},
	{"CrashLoop", "shop", "mail"},
	{"NotReady", "shop", "cart"},
}

func (t trouble) String() string { return t.alert + "-" + t.pod }

// signal returns the trouble as an alert about one of its containers.
func (t trouble) signal(container string) gateway.Signal {
	return gateway.Signal{
		Name: t.alert, Severity: "critical", Type: gateway.TypePrometheusAlert, Source: "prometheus",
		Resource: gateway.Resource{APIVersion: "v1", Kind: "Pod", Namespace: t.namespace, Name: t.pod},
		Labels: map[string]string{
			"alertname": t.alert, "namespace": t.namespace, "pod": t.pod, "container": container,
		},
	}
}

// maxNumber is how high a request's number is known in words.
const maxNumber = 30

// words name fingerprints, and titles requests by their names.
var words, titles = vocabulary()

func vocabulary() (map[gateway.Fingerprint]string, map[string]string) {
	words, titles := make(map[gateway.Fingerprint]string), make(map[string]string)
	for _, t := range troubles {
		s := t.signal("")
		s.Normalize(gateway.Identity{})
		words[s.Fingerprint] = t.String()
		for _, g := range gateway.Groups(&s, "") {
			for _, p := range gateway.Priorities {
				words[g.Fingerprint(p)] = fmt.Sprintf("storm(%s %s %s)", g.Kind, g, p)
			}
		}
	}
	for f, word := range words {
		for n := int64(1); n <= maxNumber; n++ {
			titles[gateway.RequestName(f, n)] = title(word, n)
		}
	}
	return words, titles
}

func title(word string, number int64) string { return fmt.Sprintf("%s#%d", word, number) }

// label names a fingerprint in words.
func label(f gateway.Fingerprint) string {
	if word, ok := words[f]; ok {
		return word
	}
	return f.String()[:8]
}

// called names a request in words by its name.
func called(name string) string {
	if title, ok := titles[name]; ok {
		return title
	}
	return name
}
