package backfill

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	statusFiring   = "firing"
	statusResolved = "resolved"
)

// receiver is the receiver's name in the bodies that are made here.
const receiver = "backfill"

// message is a webhook's body as Alertmanager writes it (template.Data and
// webhook.Message in its sources).
type message struct {
	Receiver          string            `json:"receiver"`
	Status            string            `json:"status"`
	Alerts            []alert           `json:"alerts"`
	GroupLabels       map[string]string `json:"groupLabels"`
	CommonLabels      map[string]string `json:"commonLabels"`
	CommonAnnotations map[string]string `json:"commonAnnotations"`
	ExternalURL       string            `json:"externalURL"`
	Version           string            `json:"version"`
	GroupKey          string            `json:"groupKey"`
	TruncatedAlerts   int               `json:"truncatedAlerts"`
}

// alert is one alert of a message.
type alert struct {
	Status       string            `json:"status"`
	Labels       map[string]string `json:"labels"`
	Annotations  map[string]string `json:"annotations"`
	StartsAt     time.Time         `json:"startsAt"`
	EndsAt       time.Time         `json:"endsAt"`
	GeneratorURL string            `json:"generatorURL"`
	Fingerprint  string            `json:"fingerprint"`
}

// newMessage makes the message of a group of at least one alert.
func newMessage(groupLabels map[string]string, alerts []alert) *message {
	m := &message{
		Receiver: receiver, Status: statusResolved, Alerts: alerts, Version: "4",
		GroupLabels: groupLabels, GroupKey: groupKey(groupLabels),
		CommonLabels:      maps.Clone(alerts[0].Labels),
		CommonAnnotations: maps.Clone(alerts[0].Annotations),
	}
	for i := range alerts {
		a := &alerts[i]
		if a.Status == statusFiring {
			m.Status = statusFiring
		}
		keepCommon(m.CommonLabels, a.Labels)
		keepCommon(m.CommonAnnotations, a.Annotations)
	}
	return m
}

// keepCommon takes from common what is not in of.
func keepCommon(common, of map[string]string) {
	maps.DeleteFunc(common, func(name, value string) bool { return of[name] != value })
}

// json returns the message as it is posted.
func (m *message) json() ([]byte, error) {
	var b bytes.Buffer
	if err := json.NewEncoder(&b).Encode(m); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// groupBy returns those of the labels that an alert is grouped by.
func groupBy(labels map[string]string, names []string) map[string]string {
	if slices.Contains(names, "...") {
		return labels
	}
	group := make(map[string]string, len(names))
	for _, name := range names {
		if value, ok := labels[name]; ok {
			group[name] = value
		}
	}
	return group
}

// groupKey is Alertmanager's key of a group of a route without matchers.
func groupKey(labels map[string]string) string {
	var b strings.Builder
	b.WriteString("{}:{")
	for i, name := range slices.Sorted(maps.Keys(labels)) {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(name + "=" + strconv.Quote(labels[name]))
	}
	b.WriteString("}")
	return b.String()
}

// canonical writes labels so that equal ones are equal. The separator is in no
// valid UTF-8.
func canonical(labels map[string]string) string {
	const separator = "\xff"
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		b.WriteString(name + separator + labels[name] + separator)
	}
	return b.String()
}

// fingerprint is Prometheus' fingerprint of labels.
func fingerprint(labels map[string]string) string {
	h := fnv.New64a()
	_, _ = h.Write([]byte(canonical(labels)))
	return fmt.Sprintf("%016x", h.Sum64())
}

// compareLabels is the order in which Alertmanager lists a group's alerts: by
// job, by instance, then by all labels.
func compareLabels(a, b map[string]string) int {
	for _, name := range []string{"job", "instance"} {
		x, inA := a[name]
		y, inB := b[name]
		switch {
		case inA != inB && inA:
			return -1
		case inA != inB:
			return 1
		case x != y:
			return cmp.Compare(x, y)
		}
	}
	if c := cmp.Compare(len(a), len(b)); c != 0 {
		return c
	}
	return comparePairs(a, b)
}

// comparePairs compares as many labels by the first that differs: a name that
// is missing comes first, then the lower value.
func comparePairs(a, b map[string]string) int {
	names := slices.AppendSeq(slices.Collect(maps.Keys(a)), maps.Keys(b))
	slices.Sort(names)
	for _, name := range names {
		x, inA := a[name]
		y, inB := b[name]
		switch {
		case !inA:
			return -1
		case !inB:
			return 1
		case x != y:
			return cmp.Compare(x, y)
		}
	}
	return 0
}
