package telemetry

import (
	"github.com/prometheus/client_golang/prometheus"

	gateway "kubernaut.io/gateway"
)

// verdict is an outcome with its reason.
type verdict struct {
	outcome gateway.Outcome
	reason  gateway.Reason
}

// otherReason stands for a pair that is none of reasons.
const otherReason = "other"

// openings are the reasons for which requests are created.
var openings = []gateway.Reason{
	gateway.ReasonNewEpisode, gateway.ReasonEpisodeResolved, gateway.ReasonEpisodeStale,
	gateway.ReasonUnseenForWindow, gateway.ReasonBeganAfterCompletion, gateway.ReasonStillFiring,
	gateway.ReasonRequestStuck, gateway.ReasonResolvedSinceDropped, gateway.ReasonRequestDeleting,
}

// reasons lists the reasons that go with each outcome.
var reasons = map[gateway.Outcome][]gateway.Reason{
	gateway.Created: openings,
	gateway.Spooled: {gateway.ReasonSpooled, gateway.ReasonSpooledBehind},
	gateway.Duplicate: {
		gateway.ReasonEpisodeOpen, gateway.ReasonSeenWithinWindow, gateway.ReasonInProgress,
		gateway.ReasonWithinCooldown, gateway.ReasonDroppedUnresolved, gateway.ReasonCreatedAfterReceipt,
		gateway.ReasonEventRepeated,
	},
	gateway.Member: {gateway.ReasonStormOpened, gateway.ReasonStormJoined},
	gateway.Resolved: {
		gateway.ReasonEpisodeEnded, gateway.ReasonAlertResolved, gateway.ReasonAlreadyResolved,
		gateway.ReasonNothingToResolve, gateway.ReasonLateResolved, gateway.ReasonLateFiring,
	},
	gateway.Suppressed: {
		gateway.ReasonSuppressedSeverity, gateway.ReasonSuppressedName, gateway.ReasonNormalEvent, gateway.ReasonTest,
		gateway.ReasonOwnRequest, gateway.ReasonPolicy, gateway.ReasonSilenced, gateway.ReasonOff, gateway.ReasonShadow,
	},
	gateway.Rejected: {gateway.ReasonInvalid, gateway.ReasonRefused},
	gateway.Failed: {
		gateway.ReasonUnavailable, gateway.ReasonContended, gateway.ReasonTimeout,
		gateway.ReasonSpoolFull, gateway.ReasonSpoolFailed,
	},
}

func newReasons(f *factory) map[verdict]prometheus.Counter {
	decisions := f.counters("decisions_total", "Signals by outcome and the reason for it.", "outcome", "reason")
	counters := make(map[verdict]prometheus.Counter)
	for _, o := range gateway.Outcomes {
		for _, r := range reasons[o] {
			counters[verdict{o, r}] = decisions.WithLabelValues(string(o), string(r))
		}
		counters[verdict{o, otherReason}] = decisions.WithLabelValues(string(o), otherReason)
	}
	return counters
}
