package app

import (
	"context"
	"crypto/rand"
	"errors"
	"os"

	"kubernaut.io/gateway"
	"kubernaut.io/gateway/config"
	"kubernaut.io/gateway/kube"
	"kubernaut.io/gateway/silence"
)

// orders are what people order while the gateway runs: its mode, and silences.
type orders struct {
	hand     *kube.Switch
	silences *silence.Set
	// written is the ConfigMap with silences.
	written *kube.ConfigMap
}

func newOrders(o *Options, namespaces *kube.Namespaces, metrics orderly) (*orders, error) {
	c := o.Config
	hand, err := kube.NewSwitch(kube.SwitchOptions{
		REST: o.REST, Namespace: c.Namespace, Namespaces: namespaces, Observer: metrics, Logger: o.Logger,
	})
	if err != nil {
		return nil, err
	}
	silences, err := silence.New(silence.Options{
		Silences: c.SilenceRules(), Sources: sourceNames(c), Alertmanagers: alertmanagers(c),
		PollInterval: c.Silences.PollInterval, Observer: metrics, Logger: o.Logger,
	})
	if err != nil {
		return nil, err
	}
	written, err := kube.NewConfigMap(kube.ConfigMapOptions{
		REST: o.REST, Namespace: c.Namespace, Name: c.Silences.ConfigMap,
		Changed: func(data map[string]string) {
			silences.SetConfigMap(data)
			var bad error
			if problems := silences.ConfigMapProblems(); len(problems) > 0 {
				bad = errors.New(problems[0])
			}
			metrics.Reloaded(reloadSilences, bad)
		},
	})
	return &orders{hand: hand, silences: silences, written: written}, err
}

func alertmanagers(c *config.Config) []silence.Alertmanager {
	all := make([]silence.Alertmanager, len(c.Silences.Alertmanagers))
	for i, a := range c.Silences.Alertmanagers {
		all[i] = silence.Alertmanager(a)
	}
	return all
}

func alertmanagerNames(c *config.Config) []string {
	var names []string
	for _, a := range alertmanagers(c) {
		names = append(names, a.Name())
	}
	return names
}

// runs are what keeps the orders up to date.
func (o *orders) runs() []func(context.Context) error {
	return []func(context.Context) error{o.hand.Run, o.silences.Run, o.written.Run}
}

// missing says what of the orders has not been read yet, and why.
func (o *orders) missing() []string {
	var what []string
	if !o.hand.HasSynced() {
		what = append(what, "the people's orders have not been read yet")
		what = append(what, o.hand.Problems()...)
	}
	if !o.silences.HasSynced() {
		what = append(what, "the silences have not been read yet")
		what = append(what, o.silences.Problems()...)
	}
	if why := o.written.Missing(); why != "" {
		what = append(what, why)
	}
	return what
}

// problems are what of the orders is not as people meant it, and a mode that is
// not normal, which looks like trouble to who does not know of it.
func (o *orders) problems() []string {
	all := append(o.hand.Problems(), o.silences.Problems()...)
	if mode, from := o.hand.Mode(""); mode != gateway.ModeNormal {
		all = append(all, "mode "+string(mode)+" is ordered by "+from)
	}
	return all
}

// identity is this replica's name where replicas have to tell each other apart.
func identity() string {
	host, err := os.Hostname()
	if err != nil {
		host = "gateway"
	}
	return host + "-" + rand.Text()
}
