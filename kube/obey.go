package kube

import (
	"context"
	"errors"
	"fmt"
	"time"

	"kubernaut.io/gateway"
	"kubernaut.io/gateway/api/v1alpha1"
)

// heldPause is the least time after which what waits in mode shadow is looked at
// again. Short, so that counts are written soon after; it costs a look each.
const heldPause = time.Second

// held reports whether nothing is to be written now.
func (a *api) held() bool {
	if a.order == nil {
		return false
	}
	mode, _ := a.order.Mode("")
	return mode == gateway.ModeShadow
}

// permit is slot for calls that write, of which there are none in mode shadow.
// The mode is asked last, for the wait may be long.
func (a *api) permit(ctx context.Context) (release func(), err error) {
	release, err = a.slot(ctx)
	if err == nil && a.held() {
		release()
		return nil, gateway.ErrHeld
	}
	return release, err
}

// obey returns rr as people let it be created now, which may be less than what
// they did when it was decided: with the path manual, or not at all.
func (s *Sink) obey(rr *v1alpha1.RemediationRequest) (*v1alpha1.RemediationRequest, error) {
	if s.options.Switch == nil {
		return rr, nil
	}
	mode, from := s.options.Switch.Mode(s.orderedFor(rr))
	switch mode {
	case gateway.ModeShadow:
		return nil, gateway.ErrHeld
	case gateway.ModeOff:
		return nil, fmt.Errorf("%w: turned off by %s", gateway.ErrStale, from)
	case gateway.ModeManual:
		if rr.Spec.RemediationPath == string(gateway.Manual) {
			return rr, nil
		}
		careful := *rr
		careful.Spec.RemediationPath = string(gateway.Manual)
		careful.Spec.Decision.PathFrom = "switch: manual by " + from
		return &careful, nil
	default:
		return rr, nil
	}
}

// orderedFor returns the namespace by which it is asked what is ordered for rr.
// One of another cluster's is none of ours.
func (s *Sink) orderedFor(rr *v1alpha1.RemediationRequest) string {
	if s.options.Cluster != "" && rr.Spec.Cluster != s.options.Cluster {
		return ""
	}
	return resourceOf(rr.Spec.TargetResource).EffectiveNamespace()
}

// withhold is what create returns for an object that people do not let be sent.
// Where it may have been sent already it is only looked up.
func (s *Sink) withhold(ctx context.Context, f gateway.Fingerprint, rr *v1alpha1.RemediationRequest, why error) (*gateway.Request, error) {
	s.uncertainMu.Lock()
	_, sent := s.uncertain[f]
	s.uncertainMu.Unlock()
	if !sent {
		return nil, why
	}
	request, err := s.meet(ctx, f, rr)
	if errors.Is(err, gateway.ErrStale) && errors.Is(why, gateway.ErrHeld) {
		return nil, why // it was not carried out, and to decide anew would not help
	}
	return request, err
}

// postpone has a request looked at again later, if it is still there.
func (s *Sink) postpone(k key) {
	if s.index.version(k) != 0 {
		s.queue.AddAfter(k, max(s.options.FlushInterval, heldPause))
	}
}

// barred returns what tells whether an episode may not join a storm any more:
// its namespace was turned off since, or made manual while the storm is not.
func (s *Sink) barred(storm *gateway.Request, signal *gateway.Signal) func() bool {
	if s.options.Switch == nil {
		return nil
	}
	namespace := signal.Resource.EffectiveNamespace()
	if s.options.Cluster != "" && signal.Cluster != s.options.Cluster {
		namespace = ""
	}
	return func() bool {
		mode, _ := s.options.Switch.Mode(namespace)
		return mode == gateway.ModeOff || mode == gateway.ModeManual && storm.Path != gateway.Manual
	}
}
