package silence

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// An Alertmanager that does not answer is given up after five seconds, and asked
// again every quarter of a minute.
func TestPollsAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		seen := &failures{}
		set, err := New(Options{
			Alertmanagers: []Alertmanager{{URL: "http://alertmanager.invalid"}}, Observer: seen, Logger: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Fatal(err)
		}
		set.peers[0].client.Transport = never{}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- set.Run(ctx) }()
		for i, wait := range []time.Duration{5 * time.Second, 15 * time.Second, 15 * time.Second} {
			time.Sleep(wait - time.Millisecond)
			synctest.Wait()
			if set.HasSynced() != (i > 0) {
				t.Errorf("after %d failures it has asked: %v", i, i == 0)
			}
			if fail := seen.Load(); fail != int64(i) {
				t.Errorf("%d failures just before the time of number %d", fail, i+1)
			}
			time.Sleep(time.Millisecond)
			synctest.Wait()
			if fail := seen.Load(); fail != int64(i+1) {
				t.Errorf("%d failures at the time of number %d", fail, i+1)
			}
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// never is a network in which nothing is answered.
type never struct{}

func (never) RoundTrip(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, errors.Join(errors.New("nothing came"), r.Context().Err())
}

// failures counts questions that were not answered.
type failures struct{ atomic.Int64 }

func (f *failures) SilencesPolled(_ string, err error) {
	if err != nil {
		f.Add(1)
	}
}
