package kube

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/util/retry"
)

// checkpointKeeper keeps a checkpoint in a ConfigMap. Whoever writes merges what
// others have written meanwhile, so that two replicas which both take themselves
// for the one that watches lose nothing.
type checkpointKeeper struct {
	client  kubernetes.Interface
	options *EventWatchOptions
	// stored is the ConfigMap as it was last read or written, nil for none.
	stored *corev1.ConfigMap
}

// load reads the checkpoint. One that is not to be read is none: all Events are
// looked at then.
func (k *checkpointKeeper) load(ctx context.Context) (eventCheckpoint, error) {
	o := k.options
	m, err := k.client.CoreV1().ConfigMaps(o.Namespace).Get(ctx, o.name(), metav1.GetOptions{})
	switch {
	case absent(err, o.name()):
		k.stored = nil
		return newCheckpoint(), nil
	case err != nil:
		return newCheckpoint(), fmt.Errorf("read the checkpoint of Events: %w", err)
	}
	k.stored = m
	c, err := decodeCheckpoint(m.Data, m.BinaryData, o.Namespaces)
	if err != nil {
		o.Logger.Warn("the checkpoint of Events can't be read; all Events are looked at, as without one",
			"configMap", o.name(), "error", err)
	}
	return c, nil
}

// save writes a checkpoint, merged with what is there if that is not what was
// read or written last.
func (k *checkpointKeeper) save(ctx context.Context, c eventCheckpoint) error {
	ctx, cancel := context.WithTimeout(ctx, createTimeout)
	defer cancel()
	changed := func(err error) bool {
		return apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) || absent(err, k.options.name())
	}
	return retry.OnError(retry.DefaultRetry, changed, func() error {
		err := k.write(ctx, c)
		if !changed(err) {
			return err
		}
		there, loadErr := k.load(ctx)
		c = c.merge(there)
		return errors.Join(err, loadErr)
	})
}

func (k *checkpointKeeper) write(ctx context.Context, c eventCheckpoint) error {
	o := k.options
	data, binaryData, err := c.encode(o.Identity)
	if err != nil {
		return err
	}
	m := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: o.Namespace, Name: o.name()}}
	if k.stored != nil {
		m = k.stored.DeepCopy()
	}
	m.Data, m.BinaryData = data, binaryData
	configMaps := k.client.CoreV1().ConfigMaps(o.Namespace)
	if k.stored == nil {
		m, err = configMaps.Create(ctx, m, metav1.CreateOptions{FieldManager: fieldManager})
	} else {
		m, err = configMaps.Update(ctx, m, metav1.UpdateOptions{FieldManager: fieldManager})
	}
	if err != nil {
		return err
	}
	k.stored = m
	return nil
}

// canaryReason is the reason of the Event by which the watch proves that it is
// alive.
const canaryReason = "GatewayCanary"

// canaryNamespace is where the canary is: in the gateway's namespace if that is
// watched, else in the first that is.
func (t *eventTerm) canaryNamespace() string {
	for _, scope := range t.options.Namespaces {
		if scope == metav1.NamespaceAll || scope == t.options.Namespace {
			return t.options.Namespace
		}
	}
	return t.options.Namespaces[0]
}

// isCanary reports whether an Event is a canary, of this source or another.
func isCanary(e *seenEvent) bool {
	return e.reason == canaryReason && e.about.Kind == "ConfigMap" && e.Name == e.about.Name
}

// sing writes the canary at its interval, until ctx ends.
func (t *eventTerm) sing(ctx context.Context) {
	tick := time.NewTicker(t.options.Canary)
	defer tick.Stop()
	for {
		if err := t.keeper.sing(ctx, t.canaryNamespace()); err != nil && ctx.Err() == nil {
			t.options.Logger.Warn("the canary Event could not be written", "error", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// sing writes the canary once: one more occurrence of one Event.
func (k *checkpointKeeper) sing(ctx context.Context, namespace string) error {
	ctx, cancel := context.WithTimeout(ctx, createTimeout)
	defer cancel()
	name := k.options.name()
	events := k.client.CoreV1().Events(namespace)
	now := metav1.NewTime(k.options.Now())
	e, err := events.Get(ctx, name, metav1.GetOptions{})
	switch {
	case err == nil:
		e.Count++
		e.LastTimestamp = now
		_, err = events.Update(ctx, e, metav1.UpdateOptions{FieldManager: fieldManager})
		return err
	case !absent(err, name):
		return err
	}
	_, err = events.Create(ctx, &corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{Namespace: namespace, Name: name},
		InvolvedObject: corev1.ObjectReference{APIVersion: "v1", Kind: "ConfigMap", Namespace: namespace, Name: name},
		Reason:         canaryReason, Type: corev1.EventTypeWarning, Count: 1, FirstTimestamp: now, LastTimestamp: now,
		Message: "Written at an interval to prove that the gateway's watch of Events is alive.",
		Source:  corev1.EventSource{Component: fieldManager},
	}, metav1.CreateOptions{FieldManager: fieldManager})
	return err
}
