package kube

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"
)

// seenEvent is what is kept of an Event: what rules go by, and its JSON for the
// source's adapter. It is never changed.
type seenEvent struct {
	// ObjectMeta has name, namespace, UID and resourceVersion alone.
	metav1.ObjectMeta
	version uint64

	reason string
	about  corev1.ObjectReference
	// node is where its reporter runs, mostly a kubelet; empty where it does not
	// say.
	node string
	// count is how often it was seen, from 1. first and last are when, by its
	// reporter's clock; last is no sooner than first.
	count       int64
	first, last time.Time
	// body is the Event as JSON.
	body []byte
}

// seeEvent returns what is kept of an object of either API.
func seeEvent(obj any) (*seenEvent, error) {
	switch o := obj.(type) {
	case *seenEvent:
		return o, nil
	case *eventsv1.Event:
		return seeNewEvent(o)
	case *corev1.Event:
		return seeCoreEvent(o)
	case cache.DeletedFinalStateUnknown:
		return seeEvent(o.Obj)
	default:
		return nil, fmt.Errorf("%T is no Event", obj)
	}
}

func seeNewEvent(o *eventsv1.Event) (*seenEvent, error) {
	sent := *o
	sent.ManagedFields = nil
	sent.TypeMeta = metav1.TypeMeta{APIVersion: eventsv1.SchemeGroupVersion.String(), Kind: "Event"}
	e := &seenEvent{reason: o.Reason, about: o.Regarding, node: o.DeprecatedSource.Host, count: int64(o.DeprecatedCount)}
	times := []time.Time{o.DeprecatedFirstTimestamp.Time, o.EventTime.Time, o.DeprecatedLastTimestamp.Time}
	if o.Series != nil {
		e.count = max(e.count, int64(o.Series.Count))
		times = append(times, o.Series.LastObservedTime.Time)
	}
	return e.complete(&o.ObjectMeta, times, &sent)
}

func seeCoreEvent(o *corev1.Event) (*seenEvent, error) {
	sent := *o
	sent.ManagedFields = nil
	sent.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Event"}
	e := &seenEvent{reason: o.Reason, about: o.InvolvedObject, node: o.Source.Host, count: int64(o.Count)}
	times := []time.Time{o.FirstTimestamp.Time, o.EventTime.Time, o.LastTimestamp.Time}
	if o.Series != nil {
		e.count = max(e.count, int64(o.Series.Count))
		times = append(times, o.Series.LastObservedTime.Time)
	}
	return e.complete(&o.ObjectMeta, times, &sent)
}

// complete fills in what both APIs have in common. The first of times that is
// set is when the trouble began, as the adapter has it; the latest is its last
// occurrence. An Event that tells neither was seen when it was made.
func (e *seenEvent) complete(meta *metav1.ObjectMeta, times []time.Time, sent any) (*seenEvent, error) {
	e.ObjectMeta = metav1.ObjectMeta{Name: meta.Name, Namespace: meta.Namespace, UID: meta.UID, ResourceVersion: meta.ResourceVersion}
	e.count = max(1, e.count)
	for _, t := range times {
		if e.first.IsZero() {
			e.first = t
		}
		if t.After(e.last) {
			e.last = t
		}
	}
	if e.last.IsZero() {
		e.first, e.last = meta.CreationTimestamp.Time, meta.CreationTimestamp.Time
	}
	var err error
	if e.version, err = strconv.ParseUint(meta.ResourceVersion, 10, 64); err != nil {
		return nil, fmt.Errorf("event %s/%s: resourceVersion: %w", meta.Namespace, meta.Name, err)
	}
	if e.body, err = json.Marshal(sent); err != nil {
		return nil, fmt.Errorf("event %s/%s: %w", meta.Namespace, meta.Name, err)
	}
	return e, nil
}

// lasted returns for how long the Event has been seen.
func (e *seenEvent) lasted() time.Duration { return e.last.Sub(e.first) }
