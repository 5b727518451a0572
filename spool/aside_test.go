package spool_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"kubernaut.io/gateway"
	"kubernaut.io/gateway/spool"
)

func refusedList(t *testing.T, dir string) []spool.Refused {
	t.Helper()
	list, err := spool.ListRefused(dir)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestRefusedSignalIsSetAside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := open(t, t.TempDir(), 64*mib, func(ctx context.Context, s *gateway.Signal) gateway.Decision {
			if s.Name == "1/1" {
				return refused(ctx, s)
			}
			return created(ctx, s)
		})
		begin := time.Now()
		r.append(t, signal(1, 1), signal(1, 2))
		r.run(t)
		time.Sleep(time.Second)
		if got := strings.Join(r.asked(), " "); got != "1/1 1/2" {
			t.Errorf("asked were %s", got)
		}
		list := refusedList(t, r.dir)
		if len(list) != 1 {
			t.Fatalf("set aside are %+v", list)
		}
		got := list[0]
		if got.Name != "1/1" || got.Reason != "in detail" || got.Resource != "Pod/shop/cart-1" || got.Times != 1 ||
			got.Fingerprint != signal(1, 1).Fingerprint.String() || got.Since.Sub(begin) > time.Second || !got.Since.Equal(got.Last) {
			t.Errorf("set aside is %+v", got)
		}
		if _, _, _, aside := r.gauge.shows(); aside != 1 {
			t.Errorf("observed are %d set aside", aside)
		}
		text, err := os.ReadFile(filepath.Join(r.dir, "refused", got.ID+".json"))
		if err != nil || !bytes.Contains(text, []byte("\n    \"name\": \"1/1\",\n")) {
			t.Errorf("the file is %v\n%s", err, text)
		}
		if left, _ := filepath.Glob(filepath.Join(r.dir, "refused", ".*")); len(left) > 0 {
			t.Errorf("left are %v", left)
		}
	})
}

func TestRepeatedRefusalTakesNoMoreRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := open(t, t.TempDir(), mib, created)
		for n := range 500 {
			s := signal(1, 1)
			s.ReceivedAt = s.ReceivedAt.Add(time.Duration(n) * time.Minute)
			if err := r.SetAside(t.Context(), s, "too large"); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
		}
		list := refusedList(t, r.dir)
		if len(list) != 1 || list[0].Times != 500 || list[0].Last.Sub(list[0].Since) != 499*time.Minute {
			t.Errorf("set aside are %+v", list)
		}
	})
}

func TestNoRoomForRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := open(t, t.TempDir(), 8*64<<10, refused)
		var err error
		n := 0
		for ; err == nil; n++ {
			err = r.SetAside(t.Context(), signal(n, 1), "too large")
		}
		if n != 17 || !strings.Contains(err.Error(), "gateway spool list") {
			t.Errorf("the signal number %d is %v", n, err)
		}
		r.append(t, signal(100, 1))
		r.run(t)
		time.Sleep(time.Minute)
		if !r.Holds(signal(100, 1).Fingerprint) || !strings.Contains(r.log.String(), "can't be set aside") {
			t.Errorf("a signal that could not be set aside is gone\n%s", r.log.String())
		}
		if err := spool.Drop(r.dir, refusedList(t, r.dir)[0].ID); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Minute)
		if r.Holds(signal(100, 1).Fingerprint) {
			t.Error("with room again it was not set aside")
		}
	})
}

// TestRetry has signals tried again with a gateway running and without, all of
// each as it was.
func TestRetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		var came []gateway.Signal
		take := func(ctx context.Context, s *gateway.Signal) gateway.Decision {
			came = append(came, *s)
			return created(ctx, s)
		}
		r := open(t, dir, 64*mib, refused)
		odd := signal(2, 1)
		odd.Payload = []byte{0xff, 1, 2}
		r.append(t, signal(1, 1), odd)
		stop := r.run(t)
		time.Sleep(time.Second)
		list := refusedList(t, dir)
		if len(list) != 2 {
			t.Fatalf("set aside are %+v", list)
		}
		r.set(take)
		if err := spool.Retry(dir, list[0].ID); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		stop()
		r.close(t)
		if len(came) != 1 || len(refusedList(t, dir)) != 1 {
			t.Fatalf("%d came, set aside are %+v", len(came), refusedList(t, dir))
		}
		if err := spool.Retry(dir, list[1].ID); err != nil {
			t.Fatal(err)
		}
		r = open(t, dir, 64*mib, take)
		r.run(t)
		time.Sleep(5 * time.Second)
		if r.Away() {
			t.Error("to retry says that the API is away")
		}
		for i, want := range []*gateway.Signal{signal(1, 1), odd} {
			want.StartsAt = want.StartsAt.UTC()
			if len(came) != 2 || !equal(came[i], *want) {
				t.Errorf("came %+v, want %+v", came, want)
			}
		}
		if left, err := os.ReadDir(filepath.Join(dir, "retry")); err != nil || len(left) > 0 {
			t.Errorf("left are %v, %v", left, err)
		}
	})
}

func TestWhatCanNotBeRetriedGoesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := open(t, t.TempDir(), mib, created)
		for name, text := range map[string]string{"a.json": "{", "raw-7-b.json": `{"id":"raw-7-b","reason":"damaged","raw":"aGVsbG8="}`} {
			if err := os.WriteFile(filepath.Join(r.dir, "refused", name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		list := refusedList(t, r.dir)
		if len(list) != 2 || list[0].ID != "a" || !strings.Contains(list[0].Reason, "can't be read") {
			t.Fatalf("set aside are %+v", list)
		}
		r.run(t)
		if err := spool.Retry(r.dir, "a", "raw-7-b"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		if len(refusedList(t, r.dir)) != 2 || !strings.Contains(r.log.String(), "set aside again") {
			t.Errorf("set aside are %+v\n%s", refusedList(t, r.dir), r.log.String())
		}
		if _, _, _, aside := r.gauge.shows(); aside != 2 {
			t.Errorf("observed are %d set aside", aside)
		}
	})
}

func TestRetryAndDropOfUnknown(t *testing.T) {
	r := open(t, t.TempDir(), mib, created)
	secret := filepath.Join(r.dir, "secret.json")
	if err := os.WriteFile(secret, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"nothing", "", ".", "..", "../secret", secret, ".new-1"} {
		if err := spool.Retry(r.dir, id); !errors.Is(err, spool.ErrUnknown) {
			t.Errorf("to retry %q is %v", id, err)
		}
		if err := spool.Drop(r.dir, id); !errors.Is(err, spool.ErrUnknown) {
			t.Errorf("to drop %q is %v", id, err)
		}
	}
}

func TestListWaiting(t *testing.T) {
	dir := t.TempDir()
	if _, _, err := spool.ListWaiting(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without a directory it is %v", err)
	}
	r := open(t, dir, mib, created)
	r.append(t, signal(2, 1), signal(1, 1), signal(2, 2))
	if _, _, err := spool.ListWaiting(dir); !errors.Is(err, spool.ErrRunning) {
		t.Errorf("while a gateway runs it is %v", err)
	}
	r.close(t)
	list, unreadable, err := spool.ListWaiting(dir)
	if err != nil || unreadable != 0 || len(list) != 3 {
		t.Fatalf("%+v, %d, %v", list, unreadable, err)
	}
	for i, want := range []*gateway.Signal{signal(2, 1), signal(1, 1), signal(2, 2)} {
		got := list[i]
		if got.Name != want.Name || got.Fingerprint != want.Fingerprint.String() || got.Resource != want.Resource.String() || !got.Received.Equal(want.ReceivedAt) {
			t.Errorf("signal %d is %+v", i, got)
		}
	}
	if text, err := json.Marshal(list); err != nil || !bytes.Contains(text, []byte(`"received":"2001-09-09T01:46:41Z"`)) {
		t.Errorf("%s, %v", text, err)
	}
	if err := os.Truncate(filepath.Join(dir, database), 40<<10); err != nil {
		t.Fatal(err)
	}
	if _, _, err := spool.ListWaiting(dir); err == nil || !strings.Contains(err.Error(), "is damaged") {
		t.Errorf("of a damaged file it is %v", err)
	}
}

// equal compares signals, which have no errors in them.
func equal(a, b any) bool { return reflect.DeepEqual(a, b) }
