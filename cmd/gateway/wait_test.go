package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"kubernaut.io/gateway/app"
	"kubernaut.io/gateway/config"
	"kubernaut.io/gateway/test/cluster"
)

// TestWait: while the Kubernetes API is away, signals wait in the spool, and what
// waits for its end ends after their drain.
func TestWait(t *testing.T) {
	outside(t)
	api := cluster.Start(t)
	rest, err := app.RESTConfig(api.Kubeconfig(), "")
	if err != nil {
		t.Fatal(err)
	}
	if err := app.Install(t.Context(), rest, config.Default().Namespace); err != nil {
		t.Fatal(err)
	}
	t.Setenv("KUBECONFIG", api.Kubeconfig())
	c := start(t, "serve", "--config", writeFile(t, "gateway.yaml", servable+
		"sources: [{name: prometheus, format: alertmanager}]\nspool: {dir: "+filepath.Join(t.TempDir(), "spool")+"}\n"))
	c.until(t, c.stderr, `"msg":"ready"`)
	listens := regexp.MustCompile(`"webhooks":"(\S+?)","admin":"(\S+?)"`).FindStringSubmatch(c.stderr.String())
	if listens == nil {
		t.Fatalf("it does not say where it listens: %s", c.stderr)
	}
	webhook, admin := "http://"+listens[1]+"/webhook/prometheus", "http://"+listens[2]
	code, _, stderr := execute(t, "wait", "ready", "--admin", admin)
	if code != exitOK {
		t.Errorf("of a gateway that is ready: exit code %d, %s", code, stderr)
	}
	if code, _, stderr = execute(t, "wait", "drained", "--admin", admin, "--timeout", "1s"); code != exitOK {
		t.Errorf("with nothing in the spool: exit code %d, %s", code, stderr)
	}

	if err := api.Kill(); err != nil {
		t.Fatal(err)
	}
	if _, got := outcome(t, webhook); got != "spooled" {
		t.Fatalf("without the API an alert is %s", got)
	}
	code, _, stderr = execute(t, "wait", "drained", "--admin", admin, "--timeout", "500ms")
	if code != exitFailure || !strings.Contains(stderr, "the spool holds 1 signals") {
		t.Errorf("with a signal in the spool: exit code %d, %s", code, stderr)
	}
	if err := api.Restart(); err != nil {
		t.Fatal(err)
	}
	if code, _, stderr = execute(t, "wait", "drained", "--admin", admin); code != exitOK {
		t.Fatalf("with the API: exit code %d, %s", code, stderr)
	}
	if _, got := outcome(t, webhook); got != "duplicate" {
		t.Errorf("after the drain the alert is %s, want a duplicate of the one drained", got)
	}
	c.stop()
	c.ends(t, exitOK)
}

// TestWaitInVain: what a gateway lacks is told, and that there is none.
func TestWaitInVain(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprintln(w, "not ready\nwaiting: "+r.URL.Path)
	}))
	for _, want := range []string{"waited 400ms in vain: not ready\nwaiting: /readyz", "no gateway answers"} {
		code, stdout, stderr := execute(t, "wait", "ready", "--admin", server.URL, "--timeout", "400ms")
		if code != exitFailure || stdout != "" || !strings.Contains(stderr, want) {
			t.Errorf("exit code %d, %q, %q; want %q", code, stdout, stderr, want)
		}
		server.Close()
	}
}

// TestWaitAsksAgain: answers that can't be meant are no end of waiting.
func TestWaitAsksAgain(t *testing.T) {
	var asked atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch n := asked.Add(1); {
		case r.URL.Path != "/metrics":
			t.Errorf("asked for %s", r.URL.Path)
		case n == 1:
			w.WriteHeader(http.StatusBadGateway)
		case n == 2:
			fmt.Fprintln(w, "# HELP gateway_spool_signals x\ngateway_spool_signals many")
		case n == 3:
			fmt.Fprintln(w, "gateway_spool_signals_total 0\ngateway_spool_signals 2.1e+01")
		default:
			fmt.Fprintln(w, "gateway_spool_signals 0")
		}
	}))
	defer server.Close()
	if code, _, stderr := execute(t, "wait", "drained", "--admin", server.URL); code != exitOK || asked.Load() != 4 {
		t.Errorf("exit code %d after %d questions: %s", code, asked.Load(), stderr)
	}
}

func TestWaitCommandLines(t *testing.T) {
	for name, tt := range map[string]struct {
		args []string
		want string
	}{
		"for what":   {[]string{"wait", "redy"}, `unknown command "redy"`},
		"no time":    {[]string{"wait", "ready", "--timeout", "0s"}, "--timeout has to be more than 0"},
		"no URL":     {[]string{"wait", "drained", "--admin", "gateway"}, `"gateway" is no URL`},
		"argument":   {[]string{"wait", "ready", "now"}, `unknown command "now"`},
		"no seconds": {[]string{"wait", "ready", "--timeout", "5"}, "missing unit"},
	} {
		t.Run(name, func(t *testing.T) {
			if code, _, stderr := execute(t, tt.args...); code != exitUsage || !strings.Contains(stderr, tt.want) {
				t.Errorf("exit code %d, %q; want %d and %q", code, stderr, exitUsage, tt.want)
			}
		})
	}
}

func FuzzGauge(f *testing.F) {
	for _, text := range []string{"", spoolGauge + " 3\n", spoolGauge + "{a=\"b\"} 3", "# TYPE " + spoolGauge + " gauge\n" + spoolGauge + " NaN"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		v, err := gauge(text, spoolGauge)
		if err != nil && v != 0 {
			t.Errorf("%v beside the error %v", v, err)
		}
		if err == nil && !strings.Contains(string(text), spoolGauge+" ") {
			t.Errorf("%v of a metric that is not there", v)
		}
	})
}
