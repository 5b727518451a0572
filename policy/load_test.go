package policy_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"kubernaut.io/gateway"
	"kubernaut.io/gateway/policy"
)

const manual = "package gateway\n\npath := \"manual\" if input.environment == \"staging\"\n"

func TestLoadRefuses(t *testing.T) {
	tests := map[string]struct {
		files map[string]string
		want  []string // what the error contains
	}{
		"an empty directory": {nil, []string{"no .rego file"}},
		"tests alone":        {map[string]string{"a_test.rego": manual}, []string{"no .rego file that is not a test"}},
		"data alone":         {map[string]string{"data.json": "{}"}, []string{"no .rego file"}},
		"Rego that does not parse": {
			map[string]string{"a.rego": "package gateway\n\npath := := \"manual\"\n", "b.rego": "package gateway\n\npath = {\n"},
			[]string{"a.rego:3: ", "unexpected assign token", "b.rego:"},
		},
		"Rego of before version 1": {
			map[string]string{"a.rego": "package gateway\n\npath = \"manual\" { input.attempt > 1 }\n"},
			[]string{"a.rego:3: `if` keyword is required before rule body"},
		},
		"an empty file":       {map[string]string{"a.rego": ""}, []string{"a.rego: empty module"}},
		"a wrong package":     {map[string]string{"a.rego": "# Ours.\npackage acme.rules\npath := \"manual\""}, []string{`a.rego:2: package acme.rules is not asked; write "package gateway"`}},
		"a package inside":    {map[string]string{"a.rego": "package gateway.lib\npath := \"manual\""}, []string{"a.rego:1: package gateway.lib is not asked"}},
		"tests' package":      {map[string]string{"a.rego": "package gateway_test\npath := \"manual\""}, []string{"a.rego:1: package gateway_test is not asked"}},
		"a test of another":   {map[string]string{"a.rego": manual, "a_test.rego": "package acme_test\ntest_a if true"}, []string{"a_test.rego:1: package acme_test is not asked"}},
		"no output":           {map[string]string{"a.rego": "package gateway\npaht := \"manual\""}, []string{"no rule is named priority, path, suppress, labels, reason"}},
		"a function":          {map[string]string{"a.rego": "package gateway\npath(x) := \"manual\" if x"}, []string{"a.rego:2: path is a function"}},
		"recursion":           {map[string]string{"a.rego": "package gateway\npath := priority\npriority := path"}, []string{"a.rego:2: ", "recursive"}},
		"an unsafe variable":  {map[string]string{"a.rego": "package gateway\npath := x"}, []string{"a.rego:2: var x is unsafe"}},
		"an unknown function": {map[string]string{"a.rego": "package gateway\npath := acme.ask(1)"}, []string{"a.rego:2: undefined function acme.ask"}},
		"the gateway's own function": {
			map[string]string{"a.rego": "package gateway\npath := \"manual\" if internal.answered(1)"},
			[]string{"a.rego:2: policies do not have internal.answered"},
		},
		"a typo in a field": {
			map[string]string{"a.rego": "package gateway\n\npath := \"manual\" if {\n\tinput.signal.titel == \"x\"\n}"},
			[]string{"a.rego:4: input.signal.titel: input.signal has no such field; it has annotations, cluster, labels, name,"},
		},
		"a typo behind a variable": {
			map[string]string{"a.rego": "package gateway\n\npath := \"manual\" if {\n\ts := input.signal.resource\n\ts.knd == \"Pod\"\n}"},
			[]string{"a.rego:5: undefined ref: s.knd"},
		},
		"a typo in what may be null": {
			map[string]string{"a.rego": "package gateway\npath := \"manual\" if input.storm.member > 3"},
			[]string{"a.rego:2: input.storm.member: input.storm has no such field; it has group, kind, members"},
		},
		"a type that does not fit": {
			map[string]string{"a.rego": "package gateway\npath := \"manual\" if startswith(input.attempt, \"1\")"},
			[]string{"a.rego:2: startswith: invalid argument(s)"},
		},
		"several problems": {
			map[string]string{"a.rego": "package acme\npath := \"manual\"", "b.rego": "package gateway\npath := http.send({}).body", "data.json": "["},
			[]string{"a.rego:1: ", "b.rego:2: ", "data.json: "},
		},
		"a broken data.json":              {map[string]string{"a.rego": manual, "data.json": `{"a": `}, []string{"data.json: "}},
		"a broken data.yaml":              {map[string]string{"a.rego": manual, "data.yaml": "a: [\n"}, []string{"data.yaml: "}},
		"data that is a list":             {map[string]string{"a.rego": manual, "data.json": `[1]`}, []string{"data.json: not an object"}},
		"data over the rules":             {map[string]string{"a.rego": manual, "data.json": `{"gateway": {"path": "manual"}}`}, []string{`data.json: "gateway" is where the rules are`}},
		"data there twice":                {map[string]string{"a.rego": manual, "data.json": `{"a": {"b": 1}}`, "data.yaml": "a: {b: 2}"}, []string{"data.yaml: a.b is in another data file too"}},
		"10 MB of data":                   {map[string]string{"a.rego": manual, "data.json": `{"a": "` + strings.Repeat("x", 10_000_000) + `"}`}, []string{"data.json: with it the policy is larger than 8 MiB"}},
		"many files of 5 MB":              {map[string]string{"a.rego": manual, "x/data.json": `{"a": "` + strings.Repeat("x", 5_000_000) + `"}`, "y/data.json": `{"a": "` + strings.Repeat("x", 5_000_000) + `"}`}, []string{"y/data.json: with it the policy is larger than 8 MiB"}},
		"a directory too deep":            {map[string]string{"1/2/3/4/5/6/7/8/9/a.rego": manual}, []string{"1/2/3/4/5/6/7/8/9: more than 8 directories deep"}},
		"a rego file that is a directory": {map[string]string{"a.rego/data.json": "{}"}, []string{"no .rego file"}},
	}
	for name, instead := range map[string]string{
		`time.now_ns() > 0`: "time.now_ns: use input.time",
		`http.send({"method": "get", "url": "http://a"}) != null`: "http.send: put what it would get into data.json",
		`net.lookup_ip_addr("a") != null`:                         "net.lookup_ip_addr: put what",
		`net.cidr_contains("10.0.0.0/8", "10.0.0.1")`:             "net.cidr_contains: put what",
		`opa.runtime().env.HOME == "x"`:                           "opa.runtime: put what",
		`rand.intn("a", 2) == 1`:                                  "rand.intn: take a hash",
		`uuid.rfc4122("a") == "a"`:                                "uuid.rfc4122: take a hash",
		`io.jwt.decode_verify("a", {})[0]`:                        "io.jwt.decode_verify: ",
		`json.match_schema({}, {})[0]`:                            "json.match_schema: ",
		`[x | x := time.now_ns()] == []`:                          "time.now_ns: use input.time",
		`every x in [1] { time.now_ns() > x }`:                    "time.now_ns: use input.time",
		`bits.lsh(1, input.attempt) == 2`:                         "bits.lsh: its cost grows with a number",
		`strings.render_template("{{.a}}", {"a": 1}) == "1"`:      "strings.render_template: its cost grows with a number",
		`not time.now_ns() == 1`:                                  "time.now_ns: use input.time",
		`count("a") == 1 with count as opa.runtime`:               "opa.runtime: put what",
	} {
		tests[name] = struct {
			files map[string]string
			want  []string
		}{map[string]string{"a.rego": "package gateway\n\npath := \"manual\" if {\n\t" + name + "\n}\n"}, []string{"a.rego:4: policies do not have " + instead}}
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			dir := mustDir(t, test.files)
			b, err := policy.Load(dir)
			if err == nil {
				t.Fatalf("loaded: %v", b.Files())
			}
			for _, want := range append(test.want, dir) {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error is\n%v\nwant in it\n%s", err, want)
				}
			}
		})
	}
}

func TestLoadOfWhatCanNotBeRead(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing")
	if _, err := policy.Load(missing); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), missing) {
		t.Errorf("a missing directory: %v", err)
	}
	other := filepath.Join(mustDir(t, map[string]string{"a.yaml": "a: 1"}), "a.yaml")
	if _, err := policy.Load(other); err == nil || !strings.Contains(err.Error(), "neither a directory nor a .rego file") {
		t.Errorf("another file: %v", err)
	}
	t.Run("a file", func(t *testing.T) {
		if os.Geteuid() == 0 {
			t.Skip("root reads everything")
		}
		dir := mustDir(t, map[string]string{"a.rego": manual})
		if err := os.Chmod(filepath.Join(dir, "a.rego"), 0); err != nil {
			t.Fatal(err)
		}
		if _, err := policy.Load(dir); !errors.Is(err, os.ErrPermission) || !strings.Contains(err.Error(), "a.rego") {
			t.Errorf("an unreadable file: %v", err)
		}
	})
	t.Run("a link to nothing", func(t *testing.T) {
		dir := mustDir(t, map[string]string{"a.rego": manual})
		if err := os.Symlink("missing", filepath.Join(dir, "b.rego")); err != nil {
			t.Fatal(err)
		}
		if _, err := policy.Load(dir); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "b.rego") {
			t.Errorf("a broken link: %v", err)
		}
	})
	t.Run("a pipe", func(t *testing.T) {
		dir := mustDir(t, map[string]string{"a.rego": manual})
		if err := syscall.Mkfifo(filepath.Join(dir, "data.json"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := policy.Load(dir); err == nil || !strings.Contains(err.Error(), "data.json: not a regular file") {
			t.Errorf("a pipe: %v", err)
		}
	})
	t.Run("a link that leads back", func(t *testing.T) {
		dir := mustDir(t, map[string]string{"a.rego": manual})
		if err := os.Symlink(".", filepath.Join(dir, "again")); err != nil {
			t.Fatal(err)
		}
		if _, err := policy.Load(dir); err == nil || !strings.Contains(err.Error(), "more than 8 directories deep") {
			t.Errorf("a directory that holds itself: %v", err)
		}
	})
}

func TestLoadSingleFile(t *testing.T) {
	dir := mustDir(t, map[string]string{"a.rego": manual, "b.rego": "package gateway\nbroken"})
	b := mustLoad(t, filepath.Join(dir, "a.rego"))
	if got := fmt.Sprint(b.Files()); got != "[a.rego]" {
		t.Errorf("files are %s", got)
	}
}

// TestLoadTogether is for the race detector: what is compiled shares nothing with
// what is compiled at the same time.
func TestLoadTogether(t *testing.T) {
	dir := mustDir(t, map[string]string{"a.rego": manual})
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			if _, err := policy.Load(dir); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

func TestData(t *testing.T) {
	dir := mustDir(t, map[string]string{
		"policy.rego":     "package gateway\nreason := sprintf(\"%s %s %v\", [data.owners.shop, data.teams.eu.lead, data.limits.max])",
		"data.yaml":       "owners: {shop: checkout}\nlimits: {max: 3}\n",
		"teams/data.json": `{"eu": {"lead": "ann"}}`,
		".hidden.rego":    "broken",
		".git/a.rego":     "broken",
		"README.md":       "not read",
		"other.json":      "not read",
	})
	b := mustLoad(t, dir)
	if got := fmt.Sprint(b.Files()); got != "[data.yaml policy.rego teams/data.json]" {
		t.Errorf("files are %s", got)
	}
	p, err := policy.New(b, policy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got := p.Answer(t.Context(), input()); got.Reason != "checkout ann 3" {
		t.Errorf("answer is %+v", got)
	}
}

// mustVolume lays dir out as the kubelet lays out a ConfigMap, and returns a
// function that swaps in another version of it, as the kubelet does.
func mustVolume(t *testing.T, dir string) (swap func(version string, files map[string]string)) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	before := ""
	return func(version string, files map[string]string) {
		t.Helper()
		hidden := "..2026_03_02_" + version
		for name, text := range files {
			path := filepath.Join(dir, hidden, name)
			must(os.MkdirAll(filepath.Dir(path), 0o755))
			must(os.WriteFile(path, []byte(text), 0o600))
			first, _, _ := strings.Cut(name, "/")
			if _, err := os.Lstat(filepath.Join(dir, first)); err != nil {
				must(os.Symlink(filepath.Join("..data", first), filepath.Join(dir, first)))
			}
		}
		must(os.Symlink(hidden, filepath.Join(dir, "..data_tmp")))
		must(os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")))
		if before != "" {
			must(os.RemoveAll(filepath.Join(dir, before)))
		}
		before = hidden
	}
}

func TestMountedConfigMap(t *testing.T) {
	dir := t.TempDir()
	swap := mustVolume(t, dir)
	files := map[string]string{"policy.rego": manual, "sub/data.yaml": "a: 1"}
	swap("one", files)
	one := mustLoad(t, dir)
	if got := fmt.Sprint(one.Files()); got != "[policy.rego sub/data.yaml]" {
		t.Errorf("files are %s", got)
	}
	plain := mustLoad(t, mustDir(t, files))
	if one.Revision() != plain.Revision() {
		t.Error("the same files have another revision in a volume")
	}
	swap("two", map[string]string{"policy.rego": manual + "# changed\n", "sub/data.yaml": "a: 1"})
	two := mustLoad(t, dir)
	if got := fmt.Sprint(two.Files()); got != "[policy.rego sub/data.yaml]" || two.Revision() == one.Revision() {
		t.Errorf("after the swap files are %s, revision %s after %s", got, two.Revision(), one.Revision())
	}
}

// TestMountedConfigMapSwappedWhileRead reads while the volume is swapped again
// and again: whatever is read is one of its versions, whole.
func TestMountedConfigMapSwappedWhileRead(t *testing.T) {
	const swaps = 200
	dir := t.TempDir()
	swap := mustVolume(t, dir)
	version := func(n int) map[string]string {
		mark := fmt.Sprintf("# %d\n", n)
		return map[string]string{"a.rego": manual + mark, "b.rego": "package gateway\npriority := \"P3\"\n" + mark}
	}
	whole := make(map[string]bool)
	for n := range swaps {
		whole[mustLoad(t, mustDir(t, version(n))).Revision()] = true
	}
	swap("0", version(0))
	stop, readings := make(chan struct{}), make(chan int)
	go func() {
		n := 0
		defer func() { readings <- n }()
		for {
			b, err := policy.Load(dir)
			// Three swaps within one reading are more than a kubelet does.
			if err != nil && !errors.Is(err, os.ErrNotExist) {
				t.Error(err)
				return
			}
			if err == nil && !whole[b.Revision()] {
				t.Error("read files of two versions")
				return
			}
			n++
			select {
			case <-stop:
				return
			default:
			}
		}
	}()
	for n := 1; n < swaps; n++ {
		swap(strconv.Itoa(n), version(n))
	}
	close(stop)
	t.Logf("%d swaps, %d readings", swaps, <-readings)
}

func TestRevision(t *testing.T) {
	base := map[string]string{"a.rego": manual, "b.rego": "package gateway\npriority := \"P3\"\n", "a_test.rego": "package gateway_test\ntest_a if true\n", "data.json": `{"a": 1}`}
	want := mustLoad(t, mustDir(t, base)).Revision()
	if again := mustLoad(t, mustDir(t, base)).Revision(); again != want || len(want) != 64 {
		t.Errorf("revision is %s, then %s", want, again)
	}
	for name := range base {
		changed := make(map[string]string)
		for n, text := range base {
			changed[n] = text
		}
		changed[name] += "\n"
		if got := mustLoad(t, mustDir(t, changed)).Revision(); got == want {
			t.Errorf("%s changed, the revision did not", name)
		}
	}
	moved := map[string]string{"c.rego": base["a.rego"], "b.rego": base["b.rego"], "a_test.rego": base["a_test.rego"], "data.json": base["data.json"]}
	if got := mustLoad(t, mustDir(t, moved)).Revision(); got == want {
		t.Error("a file was renamed, the revision is the same")
	}
	moved["README.md"] = "x"
	if a, b := mustLoad(t, mustDir(t, moved)).Revision(), mustLoad(t, mustDir(t, moved)).Revision(); a != b {
		t.Error("a file that does not count changed the revision")
	}
}

func TestNullsCanBeComparedWith(t *testing.T) {
	p := mustPolicy(t, "path := \"manual\" if input.storm == null\npriority := \"P0\" if input.previous.completedAt == null", policy.Options{})
	in := input()
	in.Previous = &gateway.Request{Sequence: 1}
	if got := p.Answer(t.Context(), in); got.Path != gateway.Manual || got.Priority != gateway.P0 {
		t.Errorf("answer is %+v", got)
	}
}

func TestRevisionWithoutLoading(t *testing.T) {
	files := map[string]string{"a.rego": manual, "a_test.rego": "package gateway_test\ntest_a if true\n", "sub/data.json": `{"a": 1}`, "README.md": "x"}
	dir := mustDir(t, files)
	volume := t.TempDir()
	mustVolume(t, volume)("one", files)
	for _, path := range []string{dir, volume, filepath.Join(dir, "a.rego")} {
		got, err := policy.Revision(path)
		if want := mustLoad(t, path).Revision(); err != nil || got != want {
			t.Errorf("%s: revision is %s, %v, want %s", path, got, err, want)
		}
	}
	broken := mustDir(t, map[string]string{"a.rego": "broken", "data.json": "["})
	if got, err := policy.Revision(broken); err != nil || len(got) != 64 {
		t.Errorf("of files that don't compile: %s, %v", got, err)
	}
	missing := filepath.Join(dir, "missing")
	if _, err := policy.Revision(missing); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), missing) {
		t.Errorf("of a missing directory: %v", err)
	}
	big := mustDir(t, map[string]string{"a.rego": manual, "data.json": strings.Repeat("x", 10_000_000)})
	if _, err := policy.Revision(big); err == nil || !strings.Contains(err.Error(), "larger than 8 MiB") {
		t.Errorf("of 10 MB: %v", err)
	}
}
