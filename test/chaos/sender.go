package chaos

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"time"

	"kubernaut.io/gateway/test/harness"
)

const (
	// flushEvery is the sender's group_interval and, since it sends again what
	// has not changed, its repeat_interval too.
	flushEvery = time.Second
	// retryFirst and retryMost bound the pauses before a retry, which double.
	// Alertmanager begins with 500 ms.
	retryFirst = 100 * time.Millisecond
	retryMost  = time.Second
	// notifyLimit is how long one notification is tried before the next takes
	// its place, with what has changed since. Alertmanager takes group_interval,
	// at least 10 s.
	notifyLimit = 10 * time.Second
)

// sender notifies of a group as Alertmanager does: 5xx and no answer are tried
// again, 4xx are not, and any 2xx is taken as done. An end is told until it was
// accepted, and then forgotten.
type sender struct {
	name  string
	url   string
	group group
	// skew is how far its starts and ends are off, as another Prometheus's are.
	skew  time.Duration
	begin time.Time
	// told is when the end of each series was last accepted, as its start.
	told map[*series]time.Time
}

// run notifies until stop is closed, and once more after that. It reports
// whether that last notification was accepted before ctx ended.
func (s *sender) run(ctx context.Context, stop <-chan struct{}) bool {
	s.told = make(map[*series]time.Time)
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			s.notify(ctx)
		case <-stop:
			for ctx.Err() == nil {
				if s.notify(ctx) {
					return true
				}
			}
			return false
		}
	}
}

// notify tells what there is to tell, and reports whether that was accepted.
func (s *sender) notify(ctx context.Context) bool {
	var alerts []harness.Alert
	ends := make(map[*series]time.Time)
	elapsed := time.Since(s.begin)
	for _, one := range s.group {
		alert, known := one.at(s.begin, elapsed)
		if !known {
			continue
		}
		start := alert.StartsAt
		alert.StartsAt = alert.StartsAt.Add(s.skew)
		if alert.Status == "resolved" {
			alert.EndsAt = alert.EndsAt.Add(s.skew)
			if !s.told[one].Before(start) {
				continue
			}
			ends[one] = start
		}
		alerts = append(alerts, alert)
	}
	if len(alerts) == 0 {
		return true
	}
	body, err := json.Marshal(harness.Webhook(alerts...))
	if err != nil || !s.deliver(ctx, body) {
		return false
	}
	for one, start := range ends {
		s.told[one] = start
	}
	return true
}

// deliver tries one notification until it is accepted, can't be mended by a
// retry, or its time is over.
func (s *sender) deliver(ctx context.Context, body []byte) bool {
	ctx, cancel := context.WithTimeout(ctx, notifyLimit)
	defer cancel()
	for pause := retryFirst; ; pause = min(2*pause, retryMost) {
		status, err := s.post(ctx, body)
		switch {
		case err == nil && status/100 == 2:
			return true
		case err == nil && status/100 != 5:
			return false
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return false
		}
	}
}

func (s *sender) post(ctx context.Context, body []byte) (status int, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", s.name)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	return response.StatusCode, err
}
