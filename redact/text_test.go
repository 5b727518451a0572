package redact

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"
)

func TestName(t *testing.T) {
	for name, want := range map[string]bool{
		"password": true, "DB_PASSWORD": true, "passwd": true, "clientSecret": true, "x-auth-token": true, "Authorization": true,
		"Set-Cookie": true, "key": true, "KEY": true, "api_key": true, "apiKey": true, "signing-key": true, "signingKey": true, "key2": false,
		"keys": false, "monkey": false, "publicKey": false, "public_key": false, "passwordFile": false, "TLSKEY": true, "a.key": true, "keyFile": false, "": false, "namespace": false,
	} {
		if got := Name(name); got != want {
			t.Errorf("%q is %t", name, got)
		}
	}
}

func TestText(t *testing.T) {
	for text, want := range map[string]string{
		"":                                  "",
		"connect https://u:p@host/x: no":    "connect https://[redacted]@host/x: no",
		"password=hunter2 user=x":           "password=[redacted] user=x",
		"url?access_token=abc&b=c":          "url?access_token=[redacted]&b=c",
		`bad value {"token":"a b","c":"d"}`: `bad value {"token":[redacted],"c":"d"}`,
		`quoted {\"apiKey\": \"a\", \"c\"`:  `quoted {\"apiKey\": [redacted], \"c\"`,
		"Authorization: Bearer abc.def":     "Authorization: [redacted]",
		"Set-Cookie: s=1; a=b\nc":           "Set-Cookie: [redacted]\nc",
		`sent "Cookie: s=1; a=b" to x`:      `sent "Cookie: [redacted]" to x`,
		"PASSWD='a b' c":                    "PASSWD=[redacted] c",
		"redis.passwordFile: open /x: no":   "redis.passwordFile: open /x: no",
		`passwordFile="/x"`:                 `passwordFile="/x"`,
		"token review: connection refused":  "token review: connection refused",
		"unexpected token: )":               "unexpected token: )",
		"token=[redacted]":                  "token=[redacted]",
		`secrets "x" is forbidden`:          `secrets "x" is forbidden`,
	} {
		if got := Text(text); got != want {
			t.Errorf("%q becomes\n%q, want\n%q", text, got, want)
		}
	}
}

// TestAttr logs secrets in all ways that there are.
func TestAttr(t *testing.T) {
	log := func(l *slog.Logger) {
		l.With("token", "hidden").WithGroup("credentials").Info("m", "any", "hidden", slog.Group("deeper", "n", 1))
		for _, name := range []string{"Password", "API_KEY", "Set-Cookie"} {
			l.Info("m", "key", []byte("hidden"), slog.Group("request", name, "hidden", "path", "/x"))
		}
		l.Info("m", "labels", map[string]any{"a": map[string]string{"my-token": "hidden"}}, "error", errors.New("dial redis://u:hidden@host: refused"))
		l.Info("m", "body", []byte(`{"secret":{"a":["hidden"]},"b":1}`), "text", "Authorization: Bearer hidden", "url", "http://h/?password=hidden")
		l.Info("m", "panic", struct{ Token string }{"hidden"}, "took", time.Second, "keys", []string{"policy"}, "nothing", nil)
		l.Info("m", "name", "a\x1b[2J\u202e\u009b1m", "error", errors.New("b\x1b]8;;x\a"), "two", "lines\nhere")
		klog := l.With("component", "client-go")
		klog.Info("request", "header", map[string][]string{"Authorization": {"Bearer hidden"}})
	}
	for name, handler := range map[string]func(*bytes.Buffer, *slog.HandlerOptions) slog.Handler{
		"json": func(b *bytes.Buffer, o *slog.HandlerOptions) slog.Handler { return slog.NewJSONHandler(b, o) },
		"text": func(b *bytes.Buffer, o *slog.HandlerOptions) slog.Handler { return slog.NewTextHandler(b, o) },
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			log(slog.New(handler(&out, &slog.HandlerOptions{ReplaceAttr: Attr})))
			text := out.String()
			if strings.Contains(text, "hidden") || strings.ContainsAny(text, "\x1b\u202e\u009b\a") {
				t.Errorf("logged is\n%s", text)
			}
			for _, kept := range []string{"/x", "policy", "redis://[redacted]@host: refused", "INFO", Mark} {
				if !strings.Contains(text, kept) {
					t.Errorf("%q is not in\n%s", kept, text)
				}
			}
			if n := strings.Count(text, "\n"); n != 9 {
				t.Errorf("%d lines of 9", n)
			}
		})
	}
}

func FuzzText(f *testing.F) {
	f.Add(`a {"token":"b"} https://u:p@h Cookie: x=y`)
	f.Fuzz(func(t *testing.T, text string) {
		got := Text(text)
		if again := Text(got); again != got {
			t.Errorf("%q becomes %q, and that %q", text, got, again)
		}
	})
}

func BenchmarkText(b *testing.B) {
	for b.Loop() {
		Text("the Kubernetes API can't be reached: Post \"https://10.0.0.1:443/apis\": dial tcp 10.0.0.1:443: connect: connection refused")
	}
}
