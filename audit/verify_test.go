package audit

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// logOf writes a log of some processes and files.
func logOf(tb testing.TB, dir string, r *rand.Rand, keyed bool) *Log {
	tb.Helper()
	var keys [][]byte
	for range 1 + r.IntN(3) {
		rig := newRig(tb, dir, func(o *Options) {
			o.MaxBytes, o.MaxFiles = 500+r.Int64N(4000), 1000
			if keyed {
				o.Key, keys = key, [][]byte{key}
			}
		})
		for n := range 1 + r.IntN(8) {
			switch r.IntN(4) {
			case 0:
				rig.Rules("r1", "none")
			default:
				rig.request(n, r.IntN(4))
			}
		}
		rig.all(tb)
	}
	return intact(tb, dir, keys...)
}

// tampering is something that is done to the lines of one file of a log. It
// returns nil where it can't be.
type tampering func(r *rand.Rand, lines []string) []string

// inPlace changes one line.
func inPlace(change func(r *rand.Rand, line string) string) tampering {
	return func(r *rand.Rand, lines []string) []string {
		i := r.IntN(len(lines))
		if changed := change(r, lines[i]); changed != lines[i] {
			lines[i] = changed
			return lines
		}
		return nil
	}
}

var tamperings = map[string]tampering{
	"remove a line": func(r *rand.Rand, lines []string) []string {
		i := r.IntN(len(lines))
		return slices.Delete(lines, i, i+1)
	},
	"remove some lines": func(r *rand.Rand, lines []string) []string {
		from := r.IntN(len(lines))
		return slices.Delete(lines, from, from+1+r.IntN(len(lines)-from))
	},
	"swap two lines": func(r *rand.Rand, lines []string) []string {
		i, j := r.IntN(len(lines)), r.IntN(len(lines))
		if i == j {
			return nil
		}
		lines[i], lines[j] = lines[j], lines[i]
		return lines
	},
	"move a line": func(r *rand.Rand, lines []string) []string {
		i, j := r.IntN(len(lines)), r.IntN(len(lines))
		if i == j {
			return nil
		}
		line := lines[i]
		return slices.Insert(slices.Delete(lines, i, i+1), j, line)
	},
	"repeat a line": func(r *rand.Rand, lines []string) []string {
		return slices.Insert(lines, 1+r.IntN(len(lines)), lines[r.IntN(len(lines))])
	},
	"insert what is none": func(r *rand.Rand, lines []string) []string {
		texts := []string{"\n", "{}\n", "x\n", strings.Repeat("x", 2*MaxLineBytes) + "\n", `{"seq":1,"prev":"","sum":""}` + "\n"}
		return slices.Insert(lines, r.IntN(len(lines)), texts[r.IntN(len(texts))])
	},
	"change a byte": inPlace(func(r *rand.Rand, line string) string {
		i := r.IntN(len(line))
		return line[:i] + string(rune(33+r.IntN(90))) + line[i+1:]
	}),
	"remove a byte": inPlace(func(r *rand.Rand, line string) string {
		i := r.IntN(len(line))
		return line[:i] + line[i+1:]
	}),
	"insert a byte": inPlace(func(r *rand.Rand, line string) string {
		i := r.IntN(len(line))
		return line[:i] + string(rune(32+r.IntN(91))) + line[i:]
	}),
	"another outcome": inPlace(func(_ *rand.Rand, line string) string {
		return strings.Replace(line, `"outcome":"duplicate"`, `"outcome":"created"`, 1)
	}),
	"another outcome, and its sum": inPlace(func(_ *rand.Rand, line string) string {
		return resum(strings.Replace(line, `"outcome":"duplicate"`, `"outcome":"created"`, 1))
	}),
	"truncate": func(r *rand.Rand, lines []string) []string { return lines[:r.IntN(len(lines))] },
	"truncate within": func(r *rand.Rand, lines []string) []string {
		lines = lines[:1+r.IntN(len(lines))]
		last := len(lines) - 1
		lines[last] = lines[last][:r.IntN(len(lines[last]))]
		return lines
	},
}

// resum gives a line the sum that its content has, as who has no key can.
func resum(text string) string {
	l, err := parse([]byte(strings.TrimSuffix(text, "\n")))
	if err != nil {
		return text
	}
	c := chain{head: head{l.Seq - 1, l.prev}, text: l.content}
	c.close()
	return string(c.text)
}

// TestAnyTamperingIsFound does things to random logs. Whoever knows the head
// finds all of them; without it those that don't cut the end off.
func TestAnyTamperingIsFound(t *testing.T) {
	for name, do := range tamperings {
		t.Run(name, func(t *testing.T) {
			found := 0
			for seed := uint64(0); found < 25; seed++ {
				if seed == 2000 {
					t.Fatalf("it could be done %d times only", found)
				}
				if tampered(t, seed, do) {
					found++
				}
				if t.Failed() {
					t.Fatalf("seed %d", seed)
				}
			}
		})
	}
}

// tampered does something to a log and reports whether that could be done.
func tampered(t *testing.T, seed uint64, do tampering) bool {
	t.Helper()
	dir, r := t.TempDir(), rand.New(rand.NewPCG(seed, 1))
	keyed := r.IntN(2) == 0
	before := logOf(t, dir, r, keyed)
	head, err := ParseHead(before.Head)
	if err != nil {
		t.Fatal(err)
	}
	o := VerifyOptions{Paths: []string{dir}, Head: &head}
	if keyed {
		o.Keys = [][]byte{key}
	}
	if l := verify(t, o); len(l.Findings) > 0 {
		t.Errorf("as it was written, found are %+v", l.Findings)
	}
	was := mustRead(t, before.Files...)
	victim := before.Files[r.IntN(len(before.Files))]
	all := strings.SplitAfter(string(mustRead(t, victim)), "\n")
	after := do(r, all[:len(all)-1])
	if after == nil {
		return false
	}
	write(t, victim, strings.Join(after, ""))
	if now := mustRead(t, before.Files...); bytes.Equal(now, was) {
		return false
	}
	report, err := Verify(o)
	if err == nil && report.OK {
		t.Errorf("nothing was found in\n%s\nwhich was\n%s", mustRead(t, before.Files...), was)
	}
	return true
}

// TestFindings is about what is said.
func TestFindings(t *testing.T) {
	tests := map[string]struct {
		do   func(lines []string) []string
		want string
	}{
		"as it was": {func(l []string) []string { return l }, ""},
		"one gone":  {func(l []string) []string { return slices.Delete(l, 2, 3) }, "missing 3 3: line 3 is missing before this one"},
		"three gone": {
			func(l []string) []string { return slices.Delete(l, 2, 5) },
			"missing 3 3: lines 3 to 5 are missing before this one",
		},
		"the first gone": {func(l []string) []string { return l[1:] }, "missing 1 1: the log begins with line 2, and says that all from line 1 on are kept"},
		"changed": {
			func(l []string) []string { l[2] = strings.Replace(l[2], "dup", "tup", 1); return l },
			"changed 3 3: line 3 was changed: its content has not the sum that it says",
		},
		"changed, its number": {
			func(l []string) []string { l[2] = strings.Replace(l[2], `"seq":3`, `"seq":7`, 1); return l },
			"changed 3 3: line 3 was changed: its content has not the sum that it says",
		},
		"changed, its sum too": {
			func(l []string) []string { l[2] = resum(strings.Replace(l[2], "dup", "tup", 1)); return l },
			"changed 3 3: line 3 was changed or replaced, its sum too: line 4 rests on another",
		},
		"the last changed": {
			func(l []string) []string { l[7] = strings.Replace(l[7], "stop", "step", 1); return l },
			"changed 8 0: this line was changed: its content has not the sum that it says; " +
				"missing 8 8: the log ends with line 7, and line 8 is expected: line 8 was cut off its end",
		},
		"swapped": {
			func(l []string) []string { l[2], l[3] = l[3], l[2]; return l },
			"reordered 4 3: line 3 stands behind line 4",
		},
		"moved to the end": {
			func(l []string) []string { return append(slices.Delete(slices.Clone(l), 2, 3), l[2]) },
			"reordered 8 3: line 3 stands behind line 8",
		},
		"repeated": {func(l []string) []string { return slices.Insert(l, 5, l[2]) }, "inserted 6 3: line 3 is here once more, behind line 5"},
		"inserted": {
			func(l []string) []string { return slices.Insert(l, 5, "{}\n") },
			`inserted 6 0: this line was inserted: it does not end with "}`,
		},
		"cut":         {func(l []string) []string { return l[:6] }, "missing 6 8: the log ends with line 6, and line 8 is expected: lines 7 to 8 were cut off its end"},
		"nothing":     {func([]string) []string { return nil }, "missing 0 0: there is no line in it; missing 0 8: the log ends with line 0, and line 8 is expected: lines 1 to 8 were cut off its end"},
		"all renewed": {func(l []string) []string { return renewed(l) }, "changed 8 8: line 8 is not the one whose head is expected: its sum is "},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			r := newRig(t, dir)
			r.request(1, 5)
			r.all(t)
			head, err := ParseHead(intact(t, dir).Head)
			if err != nil {
				t.Fatal(err)
			}
			write(t, r.file, strings.Join(test.do(lines(t, r.file)), ""))
			o := VerifyOptions{Paths: []string{dir}, Head: &head}
			if name == "nothing" {
				o.Paths = []string{r.file}
			}
			var said []string
			for _, f := range verify(t, o).Findings {
				said = append(said, fmt.Sprintf("%s %d %d: %s", f.Kind, f.Line, f.Seq, f.Text))
			}
			if got := strings.Join(said, "; "); got != test.want && (name != "all renewed" || !strings.HasPrefix(got, test.want)) {
				t.Errorf("said is\n%s, want\n%s", got, test.want)
			}
		})
	}
}

// renewed makes a chain anew without its third line.
func renewed(all []string) []string {
	c := newChain(nil)
	var out []string
	for i, text := range all {
		l, err := parse([]byte(strings.TrimSuffix(text, "\n")))
		if err != nil {
			panic(err)
		}
		if i == 2 {
			text = strings.Replace(text, "duplicate", "created", 1)
			l, _ = parse([]byte(strings.TrimSuffix(text, "\n")))
		}
		_, rest, _ := strings.Cut(string(l.content), `","at":`)
		c.text = c.text[:0]
		c.begin = 0
		c.text = append(c.text, fmt.Sprintf(`{"seq":%d,"prev":"%x","at":%s`, l.Seq, c.sum[:], rest)...)
		c.close()
		out = append(out, string(c.text))
	}
	return out
}

// TestKey has a log made anew as a whole, by somebody without the key.
func TestKey(t *testing.T) {
	dir := t.TempDir()
	r := newRig(t, dir, func(o *Options) { o.Key = key })
	r.request(1, 2)
	r.all(t)
	if l := intact(t, dir, []byte("another key, an older one"), key); l.Signed != 5 || !l.Checked {
		t.Errorf("verified is %+v", l)
	}
	if l := intact(t, dir); l.Checked || !l.has("5 lines are signed, which was not checked") {
		t.Errorf("without the key it is %+v", l)
	}
	written := lines(t, r.file)
	for name, text := range map[string][]string{
		"made anew":   renewed(written),
		"another key": written,
	} {
		o := VerifyOptions{Paths: []string{dir}, Keys: [][]byte{key}}
		if name == "another key" {
			o.Keys[0] = []byte("quite another key")
		}
		write(t, r.file, strings.Join(text, ""))
		if l := verify(t, o); len(l.Findings) == 0 || l.Findings[0].Kind != Unsigned {
			t.Errorf("%s, found are %+v", name, l.Findings)
		}
	}
}

// TestKeyLater has a key come with a restart, and go with another.
func TestKeyLater(t *testing.T) {
	dir := t.TempDir()
	for _, k := range [][]byte{nil, key, []byte("the key that comes after"), nil} {
		l := verify(t, VerifyOptions{Paths: []string{mustFile(t, dir)}, Keys: [][]byte{key, []byte("the key that comes after")}})
		if l.Lines == 6 && len(l.Findings) > 0 {
			t.Errorf("with a key that came later, found are %+v", l.Findings)
		}
		r := newRig(t, dir, func(o *Options) { o.Key = k })
		r.request(1, 0)
		r.all(t)
	}
	l := verify(t, VerifyOptions{Paths: []string{dir}, Keys: [][]byte{key, []byte("the key that comes after")}})
	if len(l.Findings) != 3 || l.Findings[0].Kind != Unsigned || l.Findings[0].Seq != 10 {
		t.Errorf("after the key went, found are %+v", l.Findings)
	}
}

func mustFile(t *testing.T, dir string) string {
	t.Helper()
	path := filepath.Join(dir, "audit.jsonl")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestFolders has several logs and other files in a folder.
func TestFolders(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"audit.jsonl", "b.jsonl"} {
		r := newRig(t, dir, func(o *Options) { o.File, o.MaxBytes = filepath.Join(dir, name), 900 })
		r.request(1, 5)
		r.all(t)
	}
	write(t, filepath.Join(dir, "gateway.yaml"), "audit: {}\n")
	write(t, filepath.Join(dir, "empty"), "")
	r, err := Verify(VerifyOptions{Paths: []string{dir}})
	if err != nil || !r.OK || len(r.Logs) != 2 || len(r.Logs[0].Files) < 2 {
		t.Errorf("verified is %+v, %v", r, err)
	}
	if _, err := Verify(VerifyOptions{Paths: []string{dir}, Head: &Head{Seq: 1}}); err == nil || !strings.Contains(err.Error(), "there are 2 logs") {
		t.Errorf("with a head it is %v", err)
	}
	if _, err := Verify(VerifyOptions{Paths: []string{t.TempDir()}}); err == nil || !strings.Contains(err.Error(), "no audit log in this folder") {
		t.Errorf("an empty folder is %v", err)
	}
	if _, err := Verify(VerifyOptions{Paths: []string{filepath.Join(dir, "missing")}}); err == nil {
		t.Error("a file that is missing is verified")
	}
}

func TestText(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "a\x1b[31m.jsonl")
	r := newRig(t, dir, func(o *Options) { o.File = file })
	r.request(1, 3)
	r.all(t)
	all := lines(t, file)
	write(t, file, strings.Join(slices.Delete(all, 2, 3), "")+"\x1b]8;;http://evil\a\n")
	report, err := Verify(VerifyOptions{Paths: []string{dir}})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := report.WriteText(&out); err != nil {
		t.Fatal(err)
	}
	clean := strings.ReplaceAll(strings.ReplaceAll(file, "\x1b", `\x1b`), "\n", "")
	want := fmt.Sprintf(`%[1]s: NOT INTACT, 2 findings
  missing    %[1]s:3: line 3 is missing before this one
  changed    %[1]s:6: this line was changed: it does not end with "}
  5 lines in 1 file, numbers 1 to 6, not signed
  head %[2]s
`, clean, report.Logs[0].Head)
	if out.String() != want {
		t.Errorf("the text is\n%s, want\n%s", out.String(), want)
	}
	if text, err := json.Marshal(report); err != nil || !strings.Contains(string(text), `"kind":"missing"`) {
		t.Errorf("as JSON it is %s, %v", text, err)
	}
}

// TestManyFindings has more of them than are told.
func TestManyFindings(t *testing.T) {
	file := mustFile(t, t.TempDir())
	write(t, file, strings.Repeat("x\n", 3*maxFindings))
	if l := verify(t, VerifyOptions{Paths: []string{file}}); len(l.Findings) != maxFindings || l.More != 2*maxFindings+1 {
		t.Errorf("%d findings and %d more", len(l.Findings), l.More)
	}
}
