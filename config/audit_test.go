package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kubernaut.io/gateway/config"
)

func TestAudit(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct{ text, want string }{
		"a file":            {"audit: {file: " + dir + "/audit.jsonl}", ""},
		"one that is there": {"audit: {file: " + file + ", keyFile: " + file + "}", ""},
		"standard output":   {`audit: {file: "-"}`, ""},
		"a folder":          {"audit: {file: " + dir + "}", dir + ` is not a file; write a file's name, or "-" for standard output`},
		"no folder":         {"audit: {file: " + dir + "/missing/audit.jsonl}", "audit.file: its folder " + dir + "/missing can't be had"},
		"a file as folder":  {"audit: {file: " + file + "/audit.jsonl}", "audit.file: "},
		"a key alone":       {"audit: {keyFile: " + file + "}", "audit.keyFile: it has no effect without audit.file"},
		"no key":            {"audit: {file: " + file + ", keyFile: " + dir + "/missing}", "audit.keyFile: "},
		"too small":         {"audit: {file: " + file + ", maxBytes: 1000}", "audit.maxBytes: 1000 is less than 65536"},
		"too few":           {"audit: {file: " + file + ", maxFiles: 1}", "audit.maxFiles: 1 is not from 2,"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := config.Parse([]byte(`webhooks: {address: "127.0.0.1:1"}` + "\n" + test.text + "\n"))
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("%s has %v, want %q", test.text, err, test.want)
			}
		})
	}
}
