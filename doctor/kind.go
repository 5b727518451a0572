package doctor

import (
	"maps"
	"slices"
)

// Kind is a kind of fault.
type Kind struct {
	ID       string
	Severity Severity
	// Why says in one sentence what comes of it.
	Why string
}

// Kinds returns all kinds of faults, by their ID.
func Kinds() []Kind {
	all := make([]Kind, 0, len(kinds))
	for _, id := range slices.Sorted(maps.Keys(kinds)) {
		k := kinds[id]
		k.ID = id
		all = append(all, k)
	}
	return all
}

// kinds are all faults that are looked for, by their ID.
var kinds = map[string]Kind{
	// The file as a whole.
	"refused":     {Severity: Loses, Why: "The sender does not take this file: it goes on with the old one, or does not come up again after its next restart at night."},
	"unknown-key": {Severity: Notice, Why: "An Alertmanager that does not know the key refuses the whole file, and what you meant by it is not in force."},
	"template-broken": {
		Severity: Loses,
		Why:      "A template that can't be read keeps the whole configuration from being loaded.",
	},
	"resolve-timeout": {Severity: Notice, Why: "An alert whose sender gives it no end is declared over after this time: too short and it flaps, too long and it stands for hours after it is gone."},

	// Where the webhook goes.
	"no-receiver":         {Severity: Loses, Why: "No alert ever reaches the gateway, and nothing is remediated."},
	"receiver-unused":     {Severity: Loses, Why: "A receiver that no route names gets nothing: the gateway stays silent through the outage."},
	"unknown-source":      {Severity: Loses, Why: "The gateway answers 404, however often it is sent: every alert is dropped at the door."},
	"wrong-path":          {Severity: Loses, Why: "The gateway answers 404, however often it is sent: every alert is dropped at the door."},
	"wrong-format":        {Severity: Loses, Why: "The gateway answers 400 to a body of another format, and every alert in it is dropped."},
	"plain-http":          {Severity: Loses, Why: "A TLS server can't read plain HTTP: every delivery fails, however often it is tried."},
	"https-unserved":      {Severity: Notice, Why: "Unless something in between ends TLS, no connection comes about and every delivery fails."},
	"credentials-missing": {Severity: Loses, Why: "The gateway answers 401, however often it is sent: every alert is dropped at the door."},
	"credentials-kind":    {Severity: Loses, Why: "Credentials of a kind that the source does not take are as good as none: 401, and every alert is dropped."},
	"credentials-unused":  {Severity: Notice, Why: "The secret travels for nothing, and whoever listens has it; you may think that the source is guarded, and it is not."},
	"url-unseen":          {Severity: Notice, Why: "Whether this posts to the gateway could not be looked at; if the URL can't be read there either, each delivery fails."},

	// What the webhook says, and how.
	"send-resolved":     {Severity: Loses, Why: "The gateway never hears that trouble is over: requests stay open, and when it is back tomorrow it passes for the same old one."},
	"max-alerts":        {Severity: Loses, Why: "In the one night when everything fails at once, all alerts above the limit are cut off before they are sent."},
	"custom-payload":    {Severity: Loses, Why: "The gateway can't read a body without a list of alerts: it answers 400, and every alert is dropped."},
	"payload-unchecked": {Severity: Notice, Why: "A body that is made by a template is as good as the template: one wrong field, and alerts are rejected."},
	"http-method":       {Severity: Loses, Why: "The gateway takes POST alone: it answers 405, and every alert is dropped."},
	"timeout-short":     {Severity: Doubles, Why: "The sender gives up while the gateway is still writing, and sends everything again just when the API server is slow."},
	"timeout-long":      {Severity: Hides, Why: "One replica that hangs holds up its group for all that time, instead of another one being tried."},
	"proxy":             {Severity: Notice, Why: "The proxy's bad night is then the remediation's bad night."},
	"redirects":         {Severity: Notice, Why: "A redirect, say by an ingress to https, is taken as a failure, and not tried again."},
	"skip-verify":       {Severity: Notice, Why: "Whoever gets in between reads the credentials and can swallow alerts."},
	"http2-off":         {Severity: Notice, Why: "In a storm each delivery under way needs a connection and a TLS handshake of its own."},

	// Doubles.
	"webhook-twice":    {Severity: Doubles, Why: "Each alert is delivered twice; the gateway folds it into one request, but counts twice, and carries the load of both in a storm."},
	"delivered-twice":  {Severity: Doubles, Why: "Each alert comes twice; the gateway folds it into one request, but counts twice, and an end by one way crosses a firing by the other."},
	"several-senders":  {Severity: Doubles, Why: "What both are told comes twice; the gateway folds it into one request, but counts twice, and the slower one's late firing crosses the other's end."},
	"duplicate-route":  {Severity: Loses, Why: "Routes with the same matchers and receiver share one memory of what was sent: the one's delivery keeps the other's from being sent."},
	"replica-label":    {Severity: Doubles, Why: "The two Prometheus of a pair send two alerts instead of one; trouble about no Kubernetes object becomes two requests."},
	"storm-split":      {Severity: Doubles, Why: "The storm is over for the gateway before the next batch comes, and each batch opens another one."},
	"flap":             {Severity: Doubles, Why: "An alert that comes and goes is a new request with each batch, instead of one that goes on."},
	"repeat-stale":     {Severity: Doubles, Why: "By the time it is repeated the gateway has given the episode up: the same trouble gets a second request beside the first."},
	"repeat-idle":      {Severity: Notice, Why: "Repeats come with the next flush of a group at the earliest, so this is not as often as it says."},
	"group-all":        {Severity: Notice, Why: "In a storm each alert is a delivery of its own: thousands of requests at once where a few dozen would do."},
	"group-namespace":  {Severity: Notice, Why: "One body holds the alerts of all namespaces: it grows with the outage, and one of them that has to be sent again has all sent again."},
	"cluster-unnamed":  {Severity: Hides, Why: "The gateway takes another cluster's namespaces for its own of the same name, and their environment, priority and path with them."},
	"cluster-label":    {Severity: Hides, Why: "Alerts without the label pass for this cluster's own: the same pod name elsewhere is taken for a duplicate, and nobody hears of it."},
	"body-over":        {Severity: Loses, Why: "The gateway answers 413 to a body over its limit, and the whole group, the largest of all, is dropped."},
	"body-near":        {Severity: Notice, Why: "One more bad night and the group's body is over the limit; then the whole group is dropped."},
	"not-in-force":     {Severity: Hides, Why: "What you read in the file is not what happens tonight."},
	"key-too-new":      {Severity: Loses, Why: "This version refuses the file for a key that it does not know, and goes on with the old one or does not come up again."},
	"old-alertmanager": {Severity: Notice, Why: "It can't tell how many alerts it left out of a body, so that such a loss is seen nowhere."},

	// What doesn't come, or late.
	"route-impossible": {Severity: Loses, Why: "No alert can match this route, so none comes."},
	"route-shadowed":   {Severity: Loses, Why: "The routes before it take every alert, so this one never gets any."},
	"matcher-literal":  {Severity: Loses, Why: "= compares letter by letter, so what was meant as a pattern matches no alert."},
	"critical-taken":   {Severity: Loses, Why: "The worst alerts go elsewhere, and the gateway, which would have acted, never sees them."},
	"warning-taken":    {Severity: Hides, Why: "What would have been mended while it was a warning is first seen when it is critical."},
	"critical-unsent":  {Severity: Loses, Why: "The worst alerts never reach the gateway, which hears of lesser ones only."},
	"route-muted":      {Severity: Hides, Why: "What fires and ends while the route is mute is never told, and an end that falls into it leaves its request open."},
	"inhibited-unseen": {Severity: Hides, Why: "The alert is held back because of another that the gateway never sees: it hears of neither."},
	"watchdog-unsent":  {Severity: Notice, Why: "Without a sign of life a quiet night and a broken pipeline look the same, and gateway_source_silent can't tell them apart."},
	"watchdog-slow":    {Severity: Notice, Why: "gateway_source_silent calls somebody though all is well, again and again, until nobody listens to it any more."},
	"group-wait":       {Severity: Hides, Why: "New trouble waits that long before anybody hears of it, and what is over by then is never told."},
	"repeat-late":      {Severity: Hides, Why: "A remediation that hangs or did not help is noticed by the next repeat only, hours later."},
}
