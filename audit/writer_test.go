package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode"

	"kubernaut.io/gateway"
)

func TestLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		r := newRig(t, dir)
		r.Rules("r1", "none")
		d := gateway.Decision{
			Outcome: gateway.Created, Reason: gateway.ReasonNewEpisode, Fingerprint: gateway.Fingerprint{1}, Request: "rr-1",
			Environment: "production", Priority: "P0", Path: gateway.Conservative,
		}
		r.Request(Request{
			At: at(1), ID: "a", Source: "prometheus", Principal: "ci", Client: "10.0.0.7:1", UserAgent: "Alertmanager/0.34", Method: "POST",
			Path: "/webhook/prometheus", Status: 201, Took: time.Millisecond, Names: []string{"Down"}, Decisions: []gateway.Decision{d},
		})
		r.Request(Request{At: at(2), ID: "b", Client: "10.0.0.7:2", Method: "GET", Path: "/x", Status: 404, Reason: "no source"})
		r.Kept(FromSpool, &gateway.Signal{Source: "prometheus", Name: "Down"}, &d)
		r.Refused("policy")
		r.all(t)
		want := []string{
			`"kind":"start","instance":"gw-0","version":"v1.2.3","oldest":1`,
			`"kind":"rules","revision":"r1","policy":"none"`,
			`"kind":"request","requestId":"a","source":"prometheus","principal":"ci","client":"10.0.0.7:1","userAgent":"Alertmanager/0.34",` +
				`"method":"POST","path":"/webhook/prometheus","status":201,"signals":1,"microseconds":1000`,
			`"kind":"decision","requestId":"a","index":0,"source":"prometheus","signal":"Down","fingerprint":"01` + strings.Repeat("00", 31) +
				`","outcome":"created","reason":"new episode","request":"rr-1","environment":"production","priority":"P0","path":"conservative"`,
			`"kind":"request","requestId":"b","client":"10.0.0.7:2","method":"GET","path":"/x","status":404,"reason":"no source","signals":0,"microseconds":0`,
			`"kind":"decision","from":"spool","source":"prometheus","signal":"Down","fingerprint":"01` + strings.Repeat("00", 31) +
				`","outcome":"created","reason":"new episode","request":"rr-1","environment":"production","priority":"P0","path":"conservative"`,
			`"kind":"refused","what":"policy"`,
			`"kind":"stop"`,
		}
		form := regexp.MustCompile(`^\{"seq":\d+,"prev":"[0-9a-f]{64}","at":"[0-9TZ:.-]+",(.*),"sum":"[0-9a-f]{64}"\}\n$`)
		got := lines(t, r.file)
		if len(got) != len(want) {
			t.Fatalf("the lines are\n%s", strings.Join(got, ""))
		}
		for i, line := range got {
			if m := form.FindStringSubmatch(line); m == nil || m[1] != want[i] {
				t.Errorf("line %d is\n%s, want\n%s", i+1, line, want[i])
			}
		}
		if l := intact(t, dir); !l.Closed || l.Lines != 8 || l.First != 1 || l.Last != 8 || len(l.Notes) != 0 {
			t.Errorf("verified is %+v", l)
		}
		if g := r.gauge.shows(); g != "8 written, last 8, dropped map[], 0 failures" {
			t.Error(g)
		}
		if info, err := os.Stat(r.file); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("the file is %v, %v", info.Mode(), err)
		}
	})
}

// TestWhatOthersChoseIsHarmless has senders choose what they can.
func TestWhatOthersChoseIsHarmless(t *testing.T) {
	dir := t.TempDir()
	r := newRig(t, dir)
	bad := "a\x1b[2J\u202e\r\n\t\u009b\xff\"\\" + strings.Repeat("ä\u2028", 500)
	r.Request(Request{
		At: at(1), ID: bad, Source: bad, Principal: bad, Client: bad, UserAgent: bad, Method: bad, Path: bad, Reason: bad,
		Names: []string{bad}, Decisions: []gateway.Decision{{Request: bad, Environment: bad}},
	})
	r.all(t)
	for _, line := range lines(t, r.file) {
		line = strings.TrimSuffix(line, "\n")
		if strings.ContainsFunc(line, func(r rune) bool { return !unicode.IsPrint(r) }) || len(line) > MaxLineBytes/8 {
			t.Errorf("%d bytes: %q", len(line), line)
		}
	}
	intact(t, dir)
}

// TestChainGoesOn restarts and rotates.
func TestChainGoesOn(t *testing.T) {
	dir := t.TempDir()
	for range 5 {
		r := newRig(t, dir, func(o *Options) { o.MaxBytes, o.MaxFiles, o.Key = 2000, 1000, key })
		for n := range 3 {
			r.request(n, n)
		}
		r.all(t)
	}
	l := intact(t, dir, key)
	if l.Lines != int(l.Last) || l.First != 1 || len(l.Files) < 5 || l.Signed != l.Lines || !l.Closed {
		t.Errorf("verified is %+v", l)
	}
	for _, file := range l.Files {
		if info, err := os.Stat(file); err != nil || info.Size() > 2000+1000 {
			t.Errorf("%s has %d bytes, %v", file, info.Size(), err)
		}
		if file == l.Log {
			continue
		}
		first, err := parse(bytes.SplitN(mustRead(t, file), []byte("\n"), 2)[0])
		if err != nil || file != rotatedName(l.Log, first.Seq) || first.Seq > 1 && first.Kind != KindFile {
			t.Errorf("%s begins with %+v, %v", file, first, err)
		}
	}
}

// TestOldFilesGo has more than is kept, and then somebody deletes one too many.
func TestOldFilesGo(t *testing.T) {
	dir := t.TempDir()
	fill := func() *rig {
		r := newRig(t, dir, func(o *Options) { o.MaxBytes, o.MaxFiles = 1000, 3 })
		for n := range 20 {
			r.request(n, 1)
		}
		r.all(t)
		return r
	}
	r := fill()
	l := intact(t, dir)
	if len(l.Files) != 3 || l.First == 1 || !l.has("it begins with line") {
		t.Errorf("verified is %+v", l)
	}
	if one := verify(t, VerifyOptions{Paths: []string{r.file}}); len(one.Findings) != 0 || !one.has("what was before is not here") {
		t.Errorf("one file alone is %+v", one)
	}
	if err := os.Remove(l.Files[0]); err != nil {
		t.Fatal(err)
	}
	for _, when := range []string{"at once", "after a restart"} {
		l = verify(t, VerifyOptions{Paths: []string{dir}})
		if len(l.Findings) != 1 || l.Findings[0].Kind != Missing || !strings.Contains(l.Findings[0].Text, "the log begins with") {
			t.Errorf("%s, without its oldest file the log has %+v", when, l.Findings)
		}
		newRig(t, dir, func(o *Options) { o.MaxFiles = 3 }).all(t)
	}
}

func TestTornLine(t *testing.T) {
	dir := t.TempDir()
	r := newRig(t, dir)
	r.request(1, 2)
	r.all(t)
	text := mustRead(t, r.file)
	write(t, r.file, string(text)+`{"seq":6,"prev":"12`)
	if l := intact(t, dir); !l.has("the last line is cut off (19 bytes)") {
		t.Errorf("before the restart it is %+v", l.Notes)
	}
	again := newRig(t, dir)
	again.request(2, 0)
	again.all(t)
	if got := kinds(t, r.file); got != "start request decision decision stop start:torn request stop" {
		t.Errorf("lines are %s", got)
	}
	if l := intact(t, dir); !l.has("a crash tore the line before this start: 19 bytes, kept in audit.jsonl.torn-000000000006") {
		t.Errorf("notes are %+v", l.Notes)
	}
	if kept := mustRead(t, r.file+".torn-000000000006"); string(kept) != `{"seq":6,"prev":"12` {
		t.Errorf("kept is %s", kept)
	}
	if !strings.Contains(again.log.String(), "torn by a crash") {
		t.Errorf("logged is %s", again.log.String())
	}
}

// TestLinesThatAreNone has whole lines be set aside, which no crash leaves.
func TestLinesThatAreNone(t *testing.T) {
	dir := t.TempDir()
	r := newRig(t, dir)
	r.request(1, 1)
	r.all(t)
	all := lines(t, r.file)
	write(t, r.file, strings.Join(all[:2], "")+strings.Replace(all[2], "duplicate", "created", 1)+all[3][:20]+"\n")
	again := newRig(t, dir)
	again.all(t)
	l := verify(t, VerifyOptions{Paths: []string{dir}})
	if len(l.Findings) != 1 || l.Findings[0].Kind != Damaged || l.Findings[0].Line != 3 || l.Findings[0].Seq != 3 {
		t.Errorf("found are %+v", l.Findings)
	}
}

// TestFileOfAnother has something in the file that is no log at all.
func TestFileOfAnother(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "audit.jsonl"), "precious\n")
	r := newRig(t, dir)
	r.all(t)
	if got := kinds(t, r.file); got != "start:torn stop" {
		t.Errorf("lines are %s", got)
	}
	if kept := mustRead(t, r.file+".torn-000000000001"); string(kept) != "precious\n" {
		t.Errorf("kept is %s", kept)
	}
}

// TestRotatedAndKilled ends between the renaming and the first line.
func TestRotatedAndKilled(t *testing.T) {
	dir := t.TempDir()
	r := newRig(t, dir)
	r.request(1, 1)
	r.all(t)
	if err := os.Rename(r.file, rotatedName(r.file, 1)); err != nil {
		t.Fatal(err)
	}
	newRig(t, dir).all(t)
	if got := kinds(t, r.file); got != "start request decision stop file start stop" {
		t.Errorf("lines are %s", got)
	}
	intact(t, dir)
}

// TestFileThatIsTakenAway is about who moves the log while it is written.
func TestFileThatIsTakenAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		r := newRig(t, dir)
		stop := r.run(t)
		r.request(1, 0)
		synctest.Wait()
		if err := os.Remove(r.file); err != nil {
			t.Fatal(err)
		}
		time.Sleep(syncEvery)
		synctest.Wait()
		r.request(2, 0)
		stop()
		l := verify(t, VerifyOptions{Paths: []string{dir}})
		if got := kinds(t, r.file); got != "file request stop" || len(l.Findings) != 1 || l.Findings[0].Kind != Missing {
			t.Errorf("lines are %s, found are %+v", got, l.Findings)
		}
		if !strings.Contains(r.log.String(), "moved or deleted") {
			t.Errorf("logged is %s", r.log.String())
		}
	})
}

func TestOneWriterAtATime(t *testing.T) {
	dir := t.TempDir()
	r := newRig(t, dir)
	o := r.options
	if _, err := New(o); !errors.Is(err, errHeld) {
		t.Errorf("a second writer has %v", err)
	}
	r.all(t)
	second, err := New(o)
	if err != nil {
		t.Fatalf("after the first it has %v", err)
	}
	if err := errors.Join(second.Close(), second.Close()); err != nil {
		t.Error(err)
	}
}

// TestQueueIsFull has more than there is room for.
func TestQueueIsFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		r := newRig(t, dir, func(o *Options) { o.QueueBytes = 2 * entryBytes })
		for n := range 10 {
			r.request(n, 0)
		}
		stop := r.run(t)
		synctest.Wait()
		r.request(11, 0)
		r.request(12, 7) // never has room
		stop()
		if got := kinds(t, r.file); got != "start request request gap:8:queue request gap:8:queue stop" {
			t.Errorf("lines are %s", got)
		}
		if l := intact(t, dir); l.Dropped != 16 || !l.has("gap: 8 lines were never written (queue)") {
			t.Errorf("verified is %+v", l)
		}
		if g := r.gauge.shows(); g != "7 written, last 7, dropped map[queue:16], 0 failures" {
			t.Error(g)
		}
	})
}

// TestCheckpoints has the head be published while lines come, and not else.
func TestCheckpoints(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		r := newRig(t, dir)
		stop := r.run(t)
		r.request(1, 0)
		time.Sleep(10 * checkpointEvery)
		r.request(2, 0)
		time.Sleep(checkpointEvery + time.Second)
		stop()
		if got := kinds(t, r.file); got != "start request checkpoint request checkpoint stop" {
			t.Errorf("lines are %s", got)
		}
		heads := regexp.MustCompile(`kind=(\w+) head=(\S+)`).FindAllStringSubmatch(r.log.String(), -1)
		if len(heads) != 3 || heads[2][1] != KindStop {
			t.Fatalf("published are %v", heads)
		}
		for _, h := range heads {
			head, err := ParseHead(h[2])
			if err != nil {
				t.Fatal(err)
			}
			if l := verify(t, VerifyOptions{Paths: []string{dir}, Head: &head}); len(l.Findings) > 0 {
				t.Errorf("with the head %s found are %+v", h[2], l.Findings)
			}
		}
		all := lines(t, r.file)
		write(t, r.file, strings.Join(all[:4], ""))
		head, err := ParseHead(heads[2][2])
		if err != nil {
			t.Fatal(err)
		}
		l := verify(t, VerifyOptions{Paths: []string{dir}, Head: &head})
		if len(l.Findings) != 1 || l.Findings[0].Kind != Missing || !strings.Contains(l.Findings[0].Text, "lines 5 to 6 were cut off") {
			t.Errorf("cut off, found are %+v", l.Findings)
		}
		if l := intact(t, dir); l.Closed || !l.has("does not end with a closing line") {
			t.Errorf("cut off, without the head, it is %+v", l)
		}
	})
}

func TestOptions(t *testing.T) {
	good := newRig(t, t.TempDir()).options
	for want, change := range map[string]func(*Options){
		"no file":      func(o *Options) { o.File = "" },
		"no stream":    func(o *Options) { o.File = Stream },
		"can be guess": func(o *Options) { o.Key = []byte("short") },
		"no instance":  func(o *Options) { o.Instance = "" },
		"less than 0":  func(o *Options) { o.MaxBytes = -1 },
		"no observer":  func(o *Options) { o.Observer = nil },
		"no logger":    func(o *Options) { o.Logger = nil },
		"missing/a":    func(o *Options) { o.File = "missing/a" },
	} {
		o := good
		change(&o)
		if _, err := New(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func TestReadKey(t *testing.T) {
	file := filepath.Join(t.TempDir(), "key")
	write(t, file, string(key)+"\n")
	if got, err := ReadKey(file); err != nil || !bytes.Equal(got, key) {
		t.Errorf("got %q, %v", got, err)
	}
	write(t, file, "short\n")
	if _, err := ReadKey(file); err == nil || !strings.Contains(err.Error(), "openssl rand") || strings.Contains(err.Error(), "short") {
		t.Errorf("got %v", err)
	}
}

func TestHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := make(chan struct{})
		r := newRig(t, t.TempDir(), func(o *Options) { o.QueueBytes = 10 << 10 })
		r.append = func(string) (handle, error) {
			<-hang
			return nil, errors.New("gone")
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- r.Run(ctx) }()
		begin := time.Now()
		for n := range 1000 {
			r.request(n, 1)
		}
		if took := time.Since(begin); took > 0 {
			t.Errorf("to note took %s", took)
		}
		cancel()
		if err := <-done; !errors.Is(err, errHangs) || time.Since(begin) != closeTimeout {
			t.Errorf("ended with %v after %s", err, time.Since(begin))
		}
		close(hang)
		synctest.Wait()
	})
}

func ExampleParseHead() {
	_, err := ParseHead("12:ab")
	fmt.Println(err)
	// Output: "12:ab" is no SEQ:SUM; SUM is 64 digits of 0-9 and a-f
}
