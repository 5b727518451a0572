package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"strings"
	"syscall"
	"time"
)

// childArgument is the first argument of a process that plays a role.
const childArgument = "bench-child"

// Kinds of roles.
const (
	kindGateway = "gateway" // the whole gateway
	kindBare    = "bare"    // a server that decodes into a struct and counts
	kindWalk    = "walk"    // the same with the gateway's own adapter
	kindRedis   = "redis"   // the whole gateway with its ledger in Redis
	kindRecord  = "record"  // the whole gateway, which records
	kindAudit   = "audit"   // the whole gateway, with an audit log
)

// role is what a child process does.
type role struct {
	Kind       string
	Kubeconfig string
	// Namespace is where a gateway's requests are.
	Namespace string
	// Storms says that a gateway recognises storms, as it does by default.
	Storms bool
	// Redis is the address of a gateway's Redis; empty for none.
	Redis string
	// Record is where a gateway records; empty for nowhere.
	Record string
	// Audit is the folder of a gateway's audit log; empty for none.
	Audit string
}

// commands that a child process takes on stdin. It answers each with a line of
// stats.
const (
	askStats   = "stats"
	askCollect = "collect" // collects garbage before
	askProfile = "profile" // writes a CPU profile to the file that follows, until the next
	askHeap    = "heap"    // writes a heap profile to the file that follows
)

// stats is what a child process tells of itself.
type stats struct {
	// CPU is the time that it has had of all cores.
	CPU time.Duration
	// Mallocs counts allocations since its start.
	Mallocs uint64
	// Heap is what is allocated, in bytes; Anonymous is what it has resident
	// that no file backs, Resident all of it.
	Heap, Anonymous, Resident int64
	// Calls counts requests to the Kubernetes API by verb.
	Calls map[string]int64
}

// greeting is the first line of a child process: where it serves webhooks, and
// a gateway its metrics.
type greeting struct {
	Addr, Admin string
}

// RunChild plays the role that the process was started for by this package,
// and reports whether it was. Programs and TestMain call it first.
func RunChild() (played bool, err error) {
	if len(os.Args) != 3 || os.Args[1] != childArgument {
		return false, nil
	}
	var r role
	if err := json.Unmarshal([]byte(os.Args[2]), &r); err != nil {
		return true, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	c := &calls{}
	play := map[string]func(context.Context, role, *calls) (at greeting, done <-chan error, err error){
		kindGateway: playGateway, kindRedis: playGateway, kindRecord: playGateway, kindAudit: playGateway, kindBare: playBare, kindWalk: playBare,
	}[r.Kind]
	if play == nil {
		return true, fmt.Errorf("no role %q", r.Kind)
	}
	at, done, err := play(ctx, r, c)
	if err != nil {
		return true, err
	}
	err = converse(at, c)
	cancel()
	return true, errors.Join(err, <-done)
}

// converse answers what the parent asks, until that ends.
func converse(at greeting, c *calls) error {
	out := json.NewEncoder(os.Stdout)
	if err := out.Encode(at); err != nil {
		return err
	}
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		command, path, _ := strings.Cut(in.Text(), " ")
		var err error
		switch command {
		case askCollect:
			runtime.GC()
			debug.FreeOSMemory()
		case askProfile:
			err = profileCPU(path)
		case askHeap:
			err = profileHeap(path)
		}
		if err != nil {
			return err
		}
		s, err := ownStats(c)
		if err != nil {
			return err
		}
		if err := out.Encode(s); err != nil {
			return err
		}
	}
	return in.Err()
}

func profileCPU(path string) error {
	pprof.StopCPUProfile()
	if path == "" {
		return nil
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return pprof.StartCPUProfile(f)
}

func profileHeap(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	runtime.GC()
	return errors.Join(pprof.Lookup("heap").WriteTo(f, 0), f.Close())
}

func ownStats(c *calls) (stats, error) {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return stats{}, err
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	s := stats{
		CPU:     time.Duration(usage.Utime.Nano() + usage.Stime.Nano()),
		Mallocs: m.Mallocs, Heap: int64(m.HeapAlloc), Calls: c.byVerb(),
	}
	rollup, err := os.ReadFile("/proc/self/smaps_rollup")
	if err != nil {
		return s, err
	}
	for line := range strings.Lines(string(rollup)) {
		var kB int64
		if n, _ := fmt.Sscanf(line, "Anonymous: %d kB", &kB); n == 1 {
			s.Anonymous = kB << 10
		}
		if n, _ := fmt.Sscanf(line, "Rss: %d kB", &kB); n == 1 {
			s.Resident = kB << 10
		}
	}
	return s, nil
}

// process is a running child.
type process struct {
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *json.Decoder
	addr string
	// admin is where a gateway has its metrics.
	admin string
}

// start runs this program once more in a role, and waits until it serves. The
// child ends with its parent.
func start(r role) (*process, error) {
	arg, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p := &process{cmd: exec.Command(self, childArgument, string(arg))}
	p.cmd.Stderr = os.Stderr
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.out = json.NewDecoder(out)
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	var g greeting
	if err := p.out.Decode(&g); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: no greeting: %w", r.Kind, err), p.stop())
	}
	p.addr, p.admin = g.Addr, g.Admin
	return p, nil
}

// ask sends a command and returns the child's stats after it.
func (p *process) ask(command string) (stats, error) {
	var s stats
	if _, err := fmt.Fprintln(p.in, command); err != nil {
		return s, err
	}
	err := p.out.Decode(&s)
	return s, err
}

// stop ends the child and returns how it ended.
func (p *process) stop() error {
	return errors.Join(p.in.Close(), p.cmd.Wait())
}
