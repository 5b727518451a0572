// Command notifier sends one alert as the current release of Alertmanager does,
// with its own webhook integration, and prints what that makes of the answer: a
// Result as JSON. Debian's Alertmanager is older; newer servers can't be built
// from the Go module, but what they send with can.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/prometheus/alertmanager/alert"
	"github.com/prometheus/alertmanager/config"
	"github.com/prometheus/alertmanager/notify"
	"github.com/prometheus/alertmanager/notify/webhook"
	"github.com/prometheus/alertmanager/template"
	"github.com/prometheus/common/model"
)

// timeout bounds one delivery, as a group_interval would.
const timeout = 30 * time.Second

// Result is what the integration says of a delivery.
type Result struct {
	// Retry says that Alertmanager would send this again.
	Retry bool `json:"retry"`
	// Error is empty where Alertmanager takes the alert as delivered.
	Error string `json:"error"`
}

// labels are NAME=VALUE arguments.
type labels model.LabelSet

// String returns the labels as a selector has them.
func (l labels) String() string { return model.LabelSet(l).String() }

// Set adds one NAME=VALUE.
func (l labels) Set(argument string) error {
	name, value, found := strings.Cut(argument, "=")
	if !found {
		return fmt.Errorf("%q; want NAME=VALUE", argument)
	}
	l[model.LabelName(name)] = model.LabelValue(value)
	return nil
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "notifier:", err)
		os.Exit(1)
	}
}

func run() error {
	set := labels{}
	to := flag.String("url", "", "where to post the notification")
	status := flag.String("status", string(model.AlertFiring), "firing or resolved")
	start := flag.String("start", "", "when the alert began, RFC 3339; a minute ago if empty")
	flag.Var(set, "label", "a label of the alert, NAME=VALUE; repeated for more")
	flag.Parse()

	a, err := newAlert(model.LabelSet(set), model.AlertStatus(*status), *start)
	if err != nil {
		return err
	}
	notifier, err := newNotifier(*to)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	var result Result
	if result.Retry, err = notifier.Notify(surroundings(ctx, a), a); err != nil {
		result.Error = err.Error()
	}
	return json.NewEncoder(os.Stdout).Encode(result)
}

// newAlert returns an alert that Alertmanager itself would have taken.
func newAlert(set model.LabelSet, status model.AlertStatus, start string) (*alert.Alert, error) {
	now := time.Now()
	a := &alert.Alert{UpdatedAt: now, Alert: model.Alert{
		Labels:       set,
		Annotations:  model.LabelSet{"summary": "sent by the notifier"},
		StartsAt:     now.Add(-time.Minute),
		GeneratorURL: "http://prometheus.invalid/graph?g0.expr=up",
	}}
	if start != "" {
		var err error
		if a.StartsAt, err = time.Parse(time.RFC3339Nano, start); err != nil {
			return nil, fmt.Errorf("start: %w", err)
		}
	}
	switch status {
	case model.AlertFiring:
		// Prometheus says when to give an alert up that it repeats no more.
		a.EndsAt = now.Add(4 * time.Minute)
	case model.AlertResolved:
		a.EndsAt = now
	default:
		return nil, fmt.Errorf("status: %q; want firing or resolved", status)
	}
	return a, a.Validate()
}

// newNotifier returns the webhook integration of an Alertmanager whose
// configuration names nothing but the URL.
func newNotifier(to string) (*webhook.Notifier, error) {
	raw, err := json.Marshal(to)
	if err != nil {
		return nil, err
	}
	c, err := config.Load(fmt.Sprintf(
		`{route: {receiver: gateway}, receivers: [{name: gateway, webhook_configs: [{url: %s, send_resolved: true}]}]}`, raw))
	if err != nil {
		return nil, fmt.Errorf("configure Alertmanager: %w", err)
	}
	texts, err := template.FromGlobs(nil)
	if err != nil {
		return nil, fmt.Errorf("load Alertmanager's templates: %w", err)
	}
	texts.ExternalURL = &url.URL{Scheme: "http", Host: "alertmanager.invalid"}
	return webhook.New(c.Receivers[0].WebhookConfigs[0], texts, slog.New(slog.NewTextHandler(os.Stderr, nil)))
}

// surroundings are what an aggregation group tells its integrations.
func surroundings(ctx context.Context, a *alert.Alert) context.Context {
	group := model.LabelSet{model.AlertNameLabel: a.Labels[model.AlertNameLabel]}
	reason := notify.ReasonFirstNotification
	if a.Resolved() {
		reason = notify.ReasonAllAlertsResolved
	}
	ctx = notify.WithReceiverName(ctx, "gateway")
	ctx = notify.WithGroupKey(ctx, "{}:"+group.String())
	ctx = notify.WithGroupLabels(ctx, group)
	return notify.WithNotificationReason(ctx, reason)
}
