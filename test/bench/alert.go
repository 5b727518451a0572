package bench

import (
	"bytes"
	"fmt"
	"time"
)

// alertNamespace is the namespace that alerts are about. It exists in the
// cluster, as those of real alerts do.
const alertNamespace = "shop"

const alertName = "KubePodCrashLooping"

// alerts makes alerts of kube-prometheus' rule KubePodCrashLooping, each about
// a pod of its own, some 700 bytes long.
type alerts struct {
	start time.Time
}

func newAlerts() alerts { return alerts{start: time.Now().Add(-time.Minute).UTC()} }

func (a alerts) append(b []byte, i int) []byte {
	return fmt.Appendf(b, `{"status":"firing","labels":{"alertname":"`+alertName+`","container":"checkout",`+
		`"namespace":"`+alertNamespace+`","pod":"checkout-7d9c5b8f6d-%07d","prometheus":"monitoring/k8s","reason":"CrashLoopBackOff",`+
		`"severity":"warning","uid":"5b3c1f0e-7c55-4f4e-9d0a-%012d"},`+
		`"annotations":{"description":"Pod shop/checkout-7d9c5b8f6d-%07d (checkout) is in waiting state (reason: \"CrashLoopBackOff\").",`+
		`"runbook_url":"https://runbooks.prometheus-operator.dev/runbooks/kubernetes/kubepodcrashlooping",`+
		`"summary":"Pod is crash looping."},"startsAt":"%s","endsAt":"0001-01-01T00:00:00Z",`+
		`"generatorURL":"http://prometheus-k8s-0:9090/graph?g0.expr=ALERTS\u0026g0.tab=1","fingerprint":"%016x"}`,
		i, i, i, a.start.Format(time.RFC3339Nano), i)
}

// body returns an Alertmanager webhook of n alerts, from the first on.
func (a alerts) body(first, n int) []byte {
	var list [][]byte
	for i := range n {
		list = append(list, a.append(nil, first+i))
	}
	return webhookOf(list)
}

// storm returns webhooks of n alerts of different rules, each about a pod of
// its own in one namespace: many faults there, none of them widespread.
func (a alerts) storm(namespace string, webhooks, n int) [][]byte {
	inNamespace := fmt.Appendf(nil, `"namespace":%q`, namespace)
	bodies := make([][]byte, webhooks)
	for w := range bodies {
		var list [][]byte
		for i := w * n; i < (w+1)*n; i++ {
			b := bytes.Replace(a.append(nil, i), []byte(`"namespace":"`+alertNamespace+`"`), inNamespace, 1)
			list = append(list, bytes.Replace(b, []byte(alertName), fmt.Appendf(nil, "%s%d", alertName, i), 1))
		}
		bodies[w] = webhookOf(list)
	}
	return bodies
}

func webhookOf(list [][]byte) []byte {
	return fmt.Appendf(nil, `{"receiver":"remediation","status":"firing","alerts":[%s],`+
		`"groupLabels":{"namespace":"%[2]s"},"commonLabels":{"alertname":"`+alertName+`","namespace":"%[2]s","severity":"warning"},`+
		`"commonAnnotations":{},"externalURL":"http://alertmanager-main-0:9093","version":"4",`+
		`"groupKey":"{}:{namespace=\"%[2]s\"}","truncatedAlerts":0}`, bytes.Join(list, []byte{','}), alertNamespace)
}
