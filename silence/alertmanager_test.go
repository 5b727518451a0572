package silence_test

import (
	"context"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"kubernaut.io/gateway/silence"
)

// said is a silence as Alertmanager's API has it: of the alerts of a name, from
// begin until end, and when it was changed last.
func said(id, alertname string, until, updated time.Time) string {
	return fmt.Sprintf(`{"id":%q,"status":{"state":"active"},"updatedAt":%q,"startsAt":%q,"endsAt":%q,"comment":"c","createdBy":"me",
"annotations":{"a":"b"},"matchers":[{"name":"alertname","value":%q,"isRegex":false,"isEqual":true}]}`,
		id, updated.Format(time.RFC3339Nano), begin.Format(time.RFC3339Nano), until.Format(time.RFC3339Nano), alertname)
}

// server answers what it is told to, and keeps what it is asked.
type server struct {
	*httptest.Server
	answer atomic.Value // a string, or an int for a status
	asked  atomic.Pointer[http.Request]
}

func mustServe(t *testing.T, answer string) *server {
	t.Helper()
	s := &server{}
	s.answer.Store(answer)
	s.Server = httptest.NewServer(http.HandlerFunc(s.handle))
	t.Cleanup(s.Close)
	return s
}

func (s *server) handle(w http.ResponseWriter, r *http.Request) {
	s.asked.Store(r)
	text := s.answer.Load().(string)
	if text == "" {
		http.Error(w, "away", http.StatusServiceUnavailable)
		return
	}
	fmt.Fprint(w, text)
}

// mustPoll runs a Set that asks Alertmanagers every few milliseconds until the
// test ends.
func mustPoll(t *testing.T, o silence.Options, alertmanagers ...silence.Alertmanager) (*silence.Set, *polls) {
	t.Helper()
	seen := &polls{}
	o.Alertmanagers, o.PollInterval, o.Observer = alertmanagers, 5*time.Millisecond, seen
	set := mustNew(t, o)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- set.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return set, seen
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	for !ok() {
		select {
		case <-deadline:
			t.Fatalf("waited too long for: %s", what)
		case <-time.After(2 * time.Millisecond):
		}
	}
}

func TestAlertmanagersSilences(t *testing.T) {
	t.Parallel()
	one := mustServe(t, "["+said("1", "A", end, begin)+","+said("2", "B", end, begin)+"]")
	set, seen := mustPoll(t, options(), silence.Alertmanager{URL: one.URL + "/am/"})
	const both = "A:alertmanager:1 B:alertmanager:2"
	eventually(t, "both", func() bool { return quiet(set) == both })
	if asked := one.asked.Load(); asked.URL.Path != "/am/api/v2/silences" || asked.Header.Get("Authorization") != "" {
		t.Errorf("asked %s with %v", asked.URL, asked.Header)
	}
	if problems := set.Problems(); len(problems) > 0 {
		t.Errorf("problems %q", problems)
	}

	// Whatever it says then, what it said holds, until it says something else.
	large := "[" + strings.Repeat(" ", 16<<20) + "]"
	for _, bad := range []string{"", "<html>", `{"a":1}`, `[{"id":`, large} {
		_, before := seen.counts()
		one.answer.Store(bad)
		eventually(t, "two failures", func() bool { _, fail := seen.counts(); return fail > before+1 })
		if got := quiet(set); got != both {
			t.Errorf("after %.10q silenced %q", bad, got)
		}
		problems := strings.Join(set.Problems(), "\n")
		if !strings.Contains(problems, "were last read at 2030-01-02T03:00:00Z") || !strings.Contains(problems, one.Listener.Addr().String()) {
			t.Errorf("after %.10q the problems are %q", bad, problems)
		}
	}
	if _, silenced := set.Silenced(alert("alertname", "A"), end); silenced {
		t.Error("silenced after its end, while the Alertmanager can't say so")
	}
	one.answer.Store("[" + said("2", "C", end, end) + "]")
	eventually(t, "the change", func() bool { return quiet(set) == "C:alertmanager:2" })
	if problems := set.Problems(); len(problems) > 0 {
		t.Errorf("problems %q", problems)
	}
	one.Close()
	eventually(t, "a broken connection", func() bool { return len(set.Problems()) == 1 })
	if got := quiet(set); got != "C:alertmanager:2" {
		t.Errorf("without a connection silenced %q", got)
	}
}

func TestWhatAnAlertmanagerSaysThatCannotBeRead(t *testing.T) {
	t.Parallel()
	bad := strings.Replace(said("2", "B(", end, begin), `"isRegex":false`, `"isRegex":true`, 1)
	all := strings.Replace(said("3", "C", end, begin), `"isEqual":true`, `"isEqual":false`, 1)
	one := mustServe(t, "["+strings.Join([]string{said("1", "A", end, begin), bad, all, `{"id":"4"}`, `null`, `7`, `{"id":"5","endsAt":"2031-01-01T00:00:00Z","matchers":[null]}`}, ",")+"]")
	set, _ := mustPoll(t, options(), silence.Alertmanager{URL: one.URL})
	eventually(t, "the good one", func() bool { return quiet(set) == "A:alertmanager:1" })
	problems := strings.Join(set.Problems(), "\n")
	if !strings.Contains(problems, `6 can't be read, the first: silence "2": error parsing regexp`) {
		t.Errorf("problems %q", problems)
	}
}

// Of a cluster's silences the newest change counts, whoever tells it, and those
// of different clusters add up.
func TestSilencesAreMergedByID(t *testing.T) {
	t.Parallel()
	expired := said("1", "A", begin, begin.Add(time.Second))
	fresh := mustServe(t, "["+expired+","+said("2", "B", end, begin)+"]")
	stale := mustServe(t, "["+said("1", "A", end, begin)+","+said("2", "B", end, begin)+","+said("3", "C", end, begin)+"]")
	for _, urls := range [][]string{{fresh.URL, stale.URL}, {stale.URL, fresh.URL}} {
		set, _ := mustPoll(t, options(), silence.Alertmanager{URL: urls[0]}, silence.Alertmanager{URL: urls[1]})
		eventually(t, "both are heard", func() bool { return quiet(set) == "B:alertmanager:2 C:alertmanager:3" })
	}
}

func TestCredentials(t *testing.T) {
	t.Parallel()
	write := func(name, text string) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	one := mustServe(t, "[]")
	password := write("password", "secret\n")
	for want, a := range map[string]silence.Alertmanager{
		"Basic dXNlcjpzZWNyZXQ=": {URL: one.URL, Username: "user", PasswordFile: password},
		"Bearer token":           {URL: one.URL, TokenFile: write("token", "token\n")},
	} {
		_, seen := mustPoll(t, options(), a)
		eventually(t, want, func() bool {
			asked := one.asked.Load()
			return asked != nil && asked.Header.Get("Authorization") == want
		})
		eventually(t, "an answer", func() bool { good, _ := seen.counts(); return good > 0 })
	}
	if err := os.Remove(password); err != nil {
		t.Fatal(err)
	}
	set, _ := mustPoll(t, options(), silence.Alertmanager{URL: one.URL, Username: "user", PasswordFile: password})
	eventually(t, "the lost password is told", func() bool { return strings.Contains(strings.Join(set.Problems(), ""), "no such file") })

	encrypted := httptest.NewTLSServer(http.HandlerFunc(one.handle))
	defer encrypted.Close()
	ca := write("ca.crt", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: encrypted.Certificate().Raw})))
	_, trusted := mustPoll(t, options(), silence.Alertmanager{URL: encrypted.URL, CAFile: ca})
	eventually(t, "an answer of one whose authority is known", func() bool { good, _ := trusted.counts(); return good > 0 })
	distrust, _ := mustPoll(t, options(), silence.Alertmanager{URL: encrypted.URL})
	eventually(t, "one whose authority is not", func() bool {
		return strings.Contains(strings.Join(distrust.Problems(), ""), "certificate signed by unknown authority")
	})

	o := options()
	o.Alertmanagers = []silence.Alertmanager{{URL: one.URL, CAFile: password}, {URL: one.URL, CAFile: write("text", "text")}, {URL: "http://[::"}}
	_, err := silence.New(o)
	for i, want := range []string{"caFile", "holds no certificate", "url"} {
		if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("silences.alertmanagers[%d]: ", i)) || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one about %s", err, want)
		}
	}
}
