// Package simulation runs the pipeline of several replicas under one scheduler
// in virtual time, and looks for a schedule in which a promise is broken.
//
// What runs is the product: gateway.Pipeline and kube.Sink with its client, its
// watch and its writers. What stands around it is simulated at the edges where
// faults come from: the Kubernetes API behind an http.RoundTripper, the ledger
// and the spool behind their interfaces, Alertmanagers with their retry rules,
// a remediation controller, and people who delete.
//
// A schedule runs inside a testing/synctest bubble. Whatever crosses an edge (a
// call, an answer, an event of a watch, a delivery) waits until the scheduler
// picks it, one at a time and with the fault that the seed says, and time
// passes only when nothing else is picked. So a seed is a schedule, and one
// that fails can be run again.
package simulation
