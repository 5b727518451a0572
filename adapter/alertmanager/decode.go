// Package alertmanager makes signals of the webhooks that Prometheus
// Alertmanager sends (payload version 4, and whatever newer ones add to it).
package alertmanager

import (
	gateway "kubernaut.io/gateway"
	"kubernaut.io/gateway/adapter"
)

// Decode makes a batch of a webhook's body. An alert that can't be read becomes
// a signal with its Err set; an error means that the body as a whole is not
// JSON of this format, or that it holds no alert. Payloads alias body.
func Decode(body []byte) (gateway.Batch, error) {
	m, err := adapter.ReadAlerts(body)
	if err != nil {
		return gateway.Batch{}, err
	}
	b := gateway.Batch{Signals: make([]gateway.Signal, len(m.List)), Truncated: m.Truncated}
	for i := range m.List {
		b.Signals[i].Type = gateway.TypePrometheusAlert
		m.Fill(i, &b.Signals[i])
	}
	return b, nil
}
