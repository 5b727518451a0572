package kube

import (
	"context"
	"errors"
	"fmt"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	typedcoordinationv1 "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/retry"

	"kubernaut.io/gateway"
)

const (
	// HeartbeatLeasePrefix is before a source's name in the name of the Lease, in
	// the gateway's namespace, that its sender's signs of life renew.
	HeartbeatLeasePrefix = "gateway-heartbeat-"

	// endedAnnotation and silentAnnotation hold what a Lease has no field for.
	endedAnnotation  = "kubernaut.io/heartbeat-ended"
	silentAnnotation = "kubernaut.io/heartbeat-silent"
)

// Heartbeats keeps what replicas know of sources' signs of life: in a Lease for
// each source, which a sign renews as a kubelet renews its node's. It is safe for
// concurrent use.
type Heartbeats struct {
	leases typedcoordinationv1.LeaseInterface
	// identity is who holds a Lease: the replica that a sign came to.
	identity string
}

// NewHeartbeats returns Heartbeats with Leases in a namespace.
func NewHeartbeats(config *rest.Config, namespace, identity string) (*Heartbeats, error) {
	if config == nil || namespace == "" || identity == "" {
		return nil, errors.New("kube: heartbeats without a client configuration, a namespace or an identity")
	}
	client, err := typedcoordinationv1.NewForConfig(Unthrottled(config))
	if err != nil {
		return nil, fmt.Errorf("kube: heartbeats: client: %w", err)
	}
	return &Heartbeats{leases: client.Leases(namespace), identity: identity}, nil
}

// Share adds what s knows to the source's Lease, and returns all that is known
// then. It writes only where s knows more than the Lease, and where neither knows
// anything there need not be one.
func (h *Heartbeats) Share(ctx context.Context, source string, s gateway.Signs) (gateway.Signs, error) {
	changed := func(err error) bool { return apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) }
	var all gateway.Signs
	err := retry.OnError(retry.DefaultRetry, changed, func() (err error) {
		all, err = h.share(ctx, HeartbeatLeasePrefix+source, s)
		return err
	})
	if err != nil {
		return gateway.Signs{}, fmt.Errorf("lease %s%s: %w", HeartbeatLeasePrefix, source, err)
	}
	return all, nil
}

func (h *Heartbeats) share(ctx context.Context, name string, s gateway.Signs) (gateway.Signs, error) {
	lease, err := h.leases.Get(ctx, name, metav1.GetOptions{})
	there := err == nil
	if !there && !absent(err, name) {
		return s, err
	}
	var before gateway.Signs
	if there {
		before = signsOf(lease)
	} else {
		lease = &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: name}}
	}
	all := before.Merge(s)
	if all.Equal(before) {
		return all, nil
	}
	h.write(lease, all)
	if there {
		_, err = h.leases.Update(ctx, lease, metav1.UpdateOptions{FieldManager: fieldManager})
	} else {
		_, err = h.leases.Create(ctx, lease, metav1.CreateOptions{FieldManager: fieldManager})
	}
	return all, err
}

// write puts signs into a Lease.
func (h *Heartbeats) write(lease *coordinationv1.Lease, s gateway.Signs) {
	lease.Spec.HolderIdentity = &h.identity
	lease.Spec.RenewTime, lease.Spec.AcquireTime = microTime(s.Last), microTime(s.Since)
	for key, at := range map[string]time.Time{endedAnnotation: s.Ended, silentAnnotation: s.Silent} {
		if !at.IsZero() {
			metav1.SetMetaDataAnnotation(&lease.ObjectMeta, key, at.UTC().Format(time.RFC3339Nano))
		}
	}
}

// signsOf returns what a Lease tells. What makes no sense, since somebody has
// written there, tells nothing.
func signsOf(lease *coordinationv1.Lease) gateway.Signs {
	var s gateway.Signs
	if at := lease.Spec.RenewTime; at != nil {
		s.Last = at.Time
	}
	if at := lease.Spec.AcquireTime; at != nil {
		s.Since = at.Time
	}
	s.Ended, _ = time.Parse(time.RFC3339Nano, lease.Annotations[endedAnnotation])
	s.Silent, _ = time.Parse(time.RFC3339Nano, lease.Annotations[silentAnnotation])
	return s
}

func microTime(t time.Time) *metav1.MicroTime {
	if t.IsZero() {
		return nil
	}
	at := metav1.NewMicroTime(t)
	return &at
}
