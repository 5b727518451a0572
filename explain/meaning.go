package explain

import gateway "kubernaut.io/gateway"

// Meaning says what a reason means, why it is so, and what a person can do where
// it is not what they want, with the configuration's key. It returns false for
// what is no gateway.Reason.
func Meaning(reason gateway.Reason) (string, bool) {
	text, ok := meanings[reason]
	return text, ok
}

// OutcomeMeaning says what an outcome means. It returns false for what is none of
// gateway.Outcomes.
func OutcomeMeaning(outcome gateway.Outcome) (string, bool) {
	text, ok := outcomes[outcome]
	return text, ok
}

var outcomes = map[gateway.Outcome]string{
	gateway.Created:    "A RemediationRequest was created for the signal.",
	gateway.Duplicate:  "The signal repeats what has a request already, and was counted there.",
	gateway.Member:     "The signal's episode is part of a storm, and became a member of the storm's request.",
	gateway.Resolved:   "The signal tells of an end, or comes behind one: no request is opened.",
	gateway.Suppressed: "Nobody wants to hear of the signal, at least for now: no request is opened.",
	gateway.Spooled:    "The signal is kept on disk, and decided when the Kubernetes API takes it.",
	gateway.Rejected:   "The signal can't be taken, and sending it again would not mend that.",
	gateway.Failed:     "The signal could not be taken for now. The sender is asked to send it again.",
}

// meanings are those of every reason.
var meanings = map[gateway.Reason]string{
	gateway.ReasonNewEpisode: "Nothing that is known stands for this trouble, so a request was opened. " +
		"If it should have been a duplicate, compare the parts of the two fingerprints: another fault, object or cluster is another trouble (fingerprint.by, fingerprint.equivalents).",
	gateway.ReasonEpisodeResolved: "The request before waits, but all its alerts had ended and it was not seen for dedup.window: this is new trouble. " +
		"A longer dedup.window joins alerts that come and go.",
	gateway.ReasonEpisodeStale: "The request before waits, but was not seen for dedup.staleAfter (Events: dedup.eventWindow), longer than any sender leaves out a repeat. " +
		"It must be longer than the sender's repeat_interval.",
	gateway.ReasonUnseenForWindow: "With dedup.mode window, what was not seen for dedup.window opens a request, whatever its phase. " +
		"Use a longer dedup.window, or dedup.mode episode, which follows phases and ends.",
	gateway.ReasonBeganAfterCompletion: "The trouble began again after its remediation was over, so that it did not last: a further request. " +
		"Within dedup.cooldown it counts as the next attempt; from the third on a person acts.",
	gateway.ReasonStillFiring: "The remediation is over, dedup.cooldown has passed, and the alert fires still: it did not help, and the next attempt is opened. " +
		"A longer dedup.cooldown gives it more time to show.",
	gateway.ReasonRequestStuck: "The request has been in a phase that is not terminal for dedup.stuckAfter, so a new attempt with the path manual was opened. " +
		"Look why the controller does not finish it; for long remediations raise dedup.stuckAfter.",
	gateway.ReasonResolvedSinceDropped: "The controller skipped or cancelled the request before, and its episode has ended since: this is new trouble. " +
		"There is no setting for it.",
	gateway.ReasonRequestDeleting: "The request before is being deleted and waits for its finalizers, so it stands for nothing any more. " +
		"If it should stand, do not delete it; retention.finished and retention.failed delete old ones.",

	gateway.ReasonEpisodeOpen: "A request for this trouble waits to be taken up, and its episode goes on: the sighting was counted there. " +
		"If nobody takes it up, look at the remediation controller, or at its approval. After dedup.staleAfter unseen a new one opens.",
	gateway.ReasonSeenWithinWindow: "The trouble was seen less than dedup.window ago, so this is the same one. " +
		"A shorter dedup.window tells alerts that come and go apart sooner.",
	gateway.ReasonInProgress: "A controller works on the request, and until dedup.stuckAfter nothing else is opened beside it. " +
		"A shorter dedup.stuckAfter calls for a person sooner.",
	gateway.ReasonWithinCooldown: "The remediation has just finished and the signal began before that, so it may not have seen the effect yet. " +
		"If it fires past dedup.cooldown, the next attempt opens.",
	gateway.ReasonDroppedUnresolved: "The controller decided not to remediate, and that holds until the episode is resolved. " +
		"To have it tried again, delete the request, or resolve the alert.",
	gateway.ReasonCreatedAfterReceipt: "The signal waited in the spool, and its trouble got a request meanwhile: that is its request. " +
		"There is nothing to do.",
	gateway.ReasonEventRepeated: "This Event was seen with this count or a higher one, as watches and retries send it: it adds nothing. " +
		"There is nothing to do.",

	gateway.ReasonStormOpened: "This new episode was one more than its group's threshold in its window: it opened a storm, with one request for all that follow. " +
		"See storm.rate and storm.pattern; a threshold of 0 opens no storms.",
	gateway.ReasonStormJoined: "A storm of its group goes on, so the new episode is a member of the storm's request and has none of its own. " +
		"It ends by storm.quiet, storm.maxDuration or storm.maxMembers; see storm.rate and storm.pattern.",

	gateway.ReasonEpisodeEnded: "The last open alert of the episode has ended: its request is Resolved. " +
		"What fires again is judged anew, see dedup.window.",
	gateway.ReasonAlertResolved: "This alert has ended, others of the same fingerprint are open, so the request stays Firing. " +
		"status.deduplication.alerts lists them; an episode of more than 64 is never ended by an end.",
	gateway.ReasonAlreadyResolved: "The request knows this end already, from a delivery before or another replica. " +
		"There is nothing to do.",
	gateway.ReasonNothingToResolve: "The end belongs to no request: its firing was suppressed, never came, or the request is gone. " +
		"It is kept for dedup.lateFiring, so that a firing which was overtaken opens nothing.",
	gateway.ReasonLateResolved: "The alert has started again after this end, which was overtaken on its way: it ends nothing. " +
		"If starts are wrong, look at the sender's clock.",
	gateway.ReasonLateFiring: "The alert ended less than dedup.lateFiring ago and this has no newer start, so it was overtaken by its end. " +
		"If it does fire, it counts from dedup.lateFiring on; shorten that if your senders keep order.",

	gateway.ReasonSuppressedSeverity: "Signals of this severity are news and no trouble. " +
		"Take it out of suppress.severities to have requests for them.",
	gateway.ReasonSuppressedName: "Signals of this name are news and no trouble, as an alert that always fires. " +
		"Take it out of suppress.signals to have requests for them.",
	gateway.ReasonNormalEvent: "An Event of type Normal tells of what works. Only Warning and other types make requests. " +
		"watch.reasons of a source says which Events are watched at all.",
	gateway.ReasonTest: "Somebody has tried a contact point of Grafana, and the way from there to here works. Tests never make requests. " +
		"There is nothing to do.",
	gateway.ReasonOwnRequest: "The signal is about a RemediationRequest itself: taking it in would make a loop. " +
		"There is no setting for it.",
	gateway.ReasonPolicy: "The policy suppresses the signal. It is asked again with each sighting. " +
		"See the rule suppress in the policy of policy.path; gateway policy eval --explain shows its way.",
	gateway.ReasonSilenced: "A silence holds for the signal; when it is over and the alert still fires, it is judged then. " +
		"The detail names the silence: of silences.list, of the ConfigMap of silences.configMap, or of silences.alertmanagers.",
	gateway.ReasonOff: "People have turned the automation off here; signals are kept and judged when it is on again. " +
		"The detail says where: the ConfigMap gateway-guard, or the namespace's annotation kubernaut.io/remediation.",
	gateway.ReasonShadow: "In mode shadow all is decided and nothing is written; the decision says what it would have been. " +
		"Set another mode in the ConfigMap gateway-guard, or delete it.",

	gateway.ReasonSpooled: "The Kubernetes API did not take it, the detail says why. It is on this replica's disk (spool.dir) and is judged as of its receipt when the API is back. " +
		"There is nothing to send again.",
	gateway.ReasonSpooledBehind: "Earlier signals of its fingerprint wait in this replica's spool (spool.dir), and order is kept. " +
		"It is decided after them, when the Kubernetes API is back.",

	gateway.ReasonInvalid: "The signal lacks something or is beyond a bound, the detail names the field. Others of its request were taken. " +
		"Mend it at the sender: for an alert, in the rule's labels.",
	gateway.ReasonSpoolFull: "The Kubernetes API did not take it, and the spool has no room. The sender tries again. " +
		"Raise spool.maxBytes, and look at the API.",
	gateway.ReasonSpoolFailed: "The Kubernetes API did not take it, and the spool's disk did not either. The sender tries again. " +
		"Look at the disk of spool.dir.",
	gateway.ReasonRefused: "The Kubernetes API will never take this request, the detail says why: invalid, too large, or denied by an admission policy. " +
		"Mend that; what is set aside in spool.dir comes back with gateway spool retry.",
	gateway.ReasonUnavailable: "The Kubernetes API could not be reached or could not answer, the detail says how. The sender tries again. " +
		"With spool.dir such signals are kept instead.",
	gateway.ReasonContended: "Other replicas kept changing what the decision rested on. The sender tries again, and nothing was made twice. " +
		"If it lasts, look at the load of the Kubernetes API.",
	gateway.ReasonTimeout: "It took longer than the request may take. The sender tries again, and what was done is recognised. " +
		"Look at the latency of the Kubernetes API, or raise webhooks.requestTimeout; with spool.dir such signals are kept instead.",
}
