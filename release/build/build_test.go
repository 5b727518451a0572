package build_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kubernaut.io/gateway/release/build"
)

func TestParsePlatforms(t *testing.T) {
	for _, test := range []struct {
		name  string
		texts []string
		wrong string
	}{
		{"both", []string{"linux/arm64", "linux/amd64"}, ""},
		{"none", nil, "no platform; give some of linux/amd64"},
		{"unknown", []string{"linux/sparc"}, `"linux/sparc" is none of linux/amd64, linux/arm64`},
		{"not of the list", []string{"darwin/arm64"}, "none of"},
		{"twice", []string{"linux/amd64", "linux/amd64"}, "there twice"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := build.ParsePlatforms(test.texts, build.Linux(build.Platforms))
			if test.wrong != "" {
				if err == nil || !strings.Contains(err.Error(), test.wrong) {
					t.Errorf("error %v, want %q", err, test.wrong)
				}
				return
			}
			if err != nil || len(got) != len(test.texts) {
				t.Fatalf("%v, %v", got, err)
			}
			for i, p := range got {
				if p.String() != test.texts[i] {
					t.Errorf("%v, want %v", got, test.texts)
				}
			}
		})
	}
}

func TestParseEpoch(t *testing.T) {
	if got, err := build.ParseEpoch("86400"); err != nil || !got.Equal(time.Unix(86400, 0)) {
		t.Errorf("%v, %v", got, err)
	}
	for _, wrong := range []string{"", "-1", "yesterday", "1.5", "99999999999999999999"} {
		if got, err := build.ParseEpoch(wrong); err == nil {
			t.Errorf("%q is taken for %v", wrong, got)
		}
	}
}

func TestDescribe(t *testing.T) {
	dir := t.TempDir()
	s, err := build.Describe(t.Context(), dir)
	if err != nil || s.Version != "devel" || s.Revision != "" || s.Time.Unix() != 0 {
		t.Errorf("without git: %+v, %v", s, err)
	}

	git := func(arguments ...string) {
		t.Helper()
		cmd := exec.Command("git", append([]string{"-C", dir, "-c", "user.name=n", "-c", "user.email=e"}, arguments...)...)
		cmd.Env = append(os.Environ(), "GIT_COMMITTER_DATE=1700000000 +0000")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v\n%s", arguments, err, out)
		}
	}
	git("init", "--quiet")
	if s, err = build.Describe(t.Context(), dir); err == nil {
		t.Errorf("a checkout without a commit is %+v", s)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	git("add", "file")
	git("commit", "--quiet", "--message", "first")
	git("tag", "v0.1.0")
	s, err = build.Describe(t.Context(), dir)
	if err != nil || s.Version != "v0.1.0" || len(s.Revision) != 40 || s.Time.Unix() != 1700000000 {
		t.Errorf("at a tag: %+v, %v", s, err)
	}
	if err := os.WriteFile(file, []byte("changed"), 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err = build.Describe(t.Context(), dir); err != nil || s.Version != "v0.1.0-dirty" {
		t.Errorf("changed: %+v, %v", s, err)
	}
}
