package ingress_test

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"kubernaut.io/gateway/ingress"
)

func TestCheckHost(t *testing.T) {
	var log bytes.Buffer
	h, err := ingress.CheckHost(ingress.HostOptions{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }),
		Hosts:   []string{"Gateway.example.org"}, Open: []string{"/metrics"}, Logger: slog.New(slog.NewTextHandler(&log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	ask := func(host, path string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodGet, path, nil)
		r.Host = host
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}
	for _, host := range []string{
		"localhost", "LOCALHOST:9090", "localhost.", "gateway.localhost:1", "127.0.0.1:9090", "10.1.2.3", "[::1]:9090", "[::1]", "::1",
		"[fe80::1%25eth0]:9090", "gateway.example.org:9090", "GATEWAY.example.org.", "",
	} {
		if w := ask(host, "/"); w.Code != http.StatusNoContent {
			t.Errorf("%q is answered %d", host, w.Code)
		}
	}
	for _, host := range []string{
		"attacker.example", "attacker.example:9090", "localhost.attacker.example", "notlocalhost", "127.0.0.1.attacker.example", "0x7f.1",
		"x.gateway.example.org", "127.0.0.1@attacker.example", "gateway.example.org:9090:1", "\x1b[2J",
	} {
		w := ask(host, "/api/v1/explain/rr-1")
		if w.Code != http.StatusMisdirectedRequest || strings.Contains(w.Body.String(), "attacker") || w.Header().Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%q is answered %d %q", host, w.Code, w.Body)
		}
	}
	if w := ask("attacker.example", "/metrics"); w.Code != http.StatusNoContent {
		t.Errorf("an open path is answered %d", w.Code)
	}
	if !strings.Contains(log.String(), "host=127.0.0.1.attacker.example") {
		t.Errorf("logged is %s", log.String())
	}
	if _, err := ingress.CheckHost(ingress.HostOptions{}); err == nil {
		t.Error("nothing was to be checked")
	}
}
