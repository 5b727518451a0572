// Package gateway is the domain of the signal gateway for Kubernetes
// remediation: what a signal is, when it repeats an episode of trouble that is
// known, when episodes make a storm, and how urgent and how far remediation is.
//
// The way of a signal:
//
//	ingress   takes a webhook, its adapter makes a batch of Signals of it
//	Process   finds out by its Owners what the resource of each Signal is of
//	          normalizes it: severity, Fingerprint, AlertHash
//	          glances at it: invalid, suppressed, or a duplicate of a request
//	          that the Sink knows to be unfinished; most signals end here
//	          decides the others, one fingerprint at a time:
//	          DedupRules  duplicate, late, or due a request; the Ledger adds
//	                      what was seen and is not in the cluster
//	          EnvironmentRules, Matrix  environment, priority, path
//	          StormRules  one too many in its group: a member of a storm
//	          Guard       makes the path more careful
//	          Sink        creates the request, joins the storm, writes the end
//	ingress   answers with a Decision for each Signal
//
// The deciding functions are pure; effects are the Sink's and the Ledger's. The
// package imports the standard library only.
package gateway
