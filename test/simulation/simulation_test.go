//go:debug randseednop=0

package simulation

import (
	"flag"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"text/tabwriter"
	"time"

	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/klog/v2"
)

var (
	schedules = flag.Int("schedules", 0, "how many schedules to run; 0 for 2,000, or a few with the race detector")
	seed      = flag.Uint64("seed", 1, "the seed of the first schedule; each further one has the next")
)

// maxReplayed is how many schedules are run twice to see that they are the same,
// maxTries in how many a variant has to be caught.
const (
	maxReplayed = 300
	maxTries    = 3000
)

// rare is in how many schedules every check has to have something to look at.
const rare = 10_000

// collectEvery is after how many schedules garbage is collected.
const collectEvery = 20

func TestMain(m *testing.M) {
	flag.Parse()
	// client-go's own handling of errors slows down by when the last one was,
	// which is another schedule's affair.
	utilruntime.ErrorHandlers = nil
	klog.SetSlogLogger(slog.New(slog.DiscardHandler))
	// One thread, and no garbage collection within a schedule: both would let
	// goroutines run in an order of their own.
	runtime.GOMAXPROCS(1)
	debug.SetGCPercent(-1)
	os.Exit(m.Run())
}

// count returns how many schedules to run, at most so many.
func count(most int) int {
	n := *schedules
	switch {
	case n == 0 && raced:
		n = 40
	case n == 0:
		n = 2000
	}
	return min(n, most)
}

// runOne runs one schedule.
func runOne(t *testing.T, seed uint64, v *variant) (w *world) {
	t.Helper()
	defer func() {
		if broken := recover(); broken != nil {
			t.Logf("while the schedule of seed %d ran", seed)
			panic(broken)
		}
	}()
	synctest.Test(t, func(*testing.T) {
		w = newWorld(seed, v)
		w.run()
	})
	if seed%collectEvery == 0 {
		runtime.GC()
	}
	return w
}

// total is what many schedules came to.
type total struct {
	schedules, steps, requests, deliveries int
	virtual                                time.Duration
	faults                                 map[string]int
	looked                                 map[look]int
}

func (s *total) add(w *world) {
	s.schedules++
	s.steps += w.taken
	s.requests += len(w.api.past)
	s.deliveries += w.checks.delivered
	s.virtual += w.lasted
	for what, n := range w.faults {
		s.faults[what] += n
	}
	for what, n := range w.checks.looked {
		s.looked[what] += n
	}
}

func (s *total) print(out io.Writer, took time.Duration) {
	table := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintf(table, "schedules\t%d\nsteps\t%d\ndeliveries\t%d\nrequests\t%d\nvirtual time\t%s\ntook\t%s\n",
		s.schedules, s.steps, s.deliveries, s.requests, s.virtual.Round(time.Hour), took.Round(time.Second))
	for _, what := range slices.Sorted(maps.Keys(s.faults)) {
		fmt.Fprintf(table, "  %s\t%d\n", what, s.faults[what])
	}
	fmt.Fprintln(table, "looked at")
	for _, what := range everyLook {
		fmt.Fprintf(table, "  %s\t%d\n", what, s.looked[what])
	}
	_ = table.Flush() // a terminal that is gone reads nothing
}

// TestSchedules looks for a schedule in which a promise is broken.
func TestSchedules(t *testing.T) {
	begin := time.Now()
	sum := total{faults: make(map[string]int), looked: make(map[look]int)}
	const enough = 5
	for n, failed := 0, 0; n < count(1<<62) && failed < enough; n++ {
		at := *seed + uint64(n)
		w := runOne(t, at, product)
		sum.add(w)
		if w.broken != "" {
			failed++
			t.Errorf("seed %d: %s\nthe same again: make simulate SEED=%d SCHEDULES=1\n%s", at, w.broken, at, w.tell())
		}
	}
	for _, what := range everyLook {
		if sum.schedules >= rare && sum.looked[what] == 0 {
			t.Errorf("none of %d schedules has what a check looks at: %s", sum.schedules, what)
		}
	}
	if testing.Verbose() {
		sum.print(os.Stdout, time.Since(begin))
	}
}

// tell returns what happened in a schedule, and what the cluster has at its end.
func (w *world) tell() string {
	var b strings.Builder
	for _, line := range w.trace {
		b.WriteString(line + "\n")
	}
	for _, o := range w.api.listed() {
		b.WriteString(titleOf(o.rr) + ": " + string(o.raw) + "\n")
	}
	return b.String()
}

// maxSplit is the share of schedules that may be two, in percent: where two of the
// product's goroutines are ready at one instant, the Go runtime chooses.
const maxSplit = 1

// TestReplay runs schedules twice: a seed is a schedule.
func TestReplay(t *testing.T) {
	if raced {
		t.Skip("the race detector lets goroutines run in an order of its own")
	}
	played, split := count(maxReplayed), 0
	for n := range played {
		at := *seed + uint64(n)
		first, second := runOne(t, at, product), runOne(t, at, product)
		if first.hash() == second.hash() {
			continue
		}
		i := 0
		for i < min(len(first.trace), len(second.trace))-1 && first.trace[i] == second.trace[i] {
			i++
		}
		split++
		t.Logf("seed %d is two schedules, from line %d of %d on:\n%s\n%s", at, i, len(first.trace), first.trace[i], second.trace[i])
	}
	if split*100 > played*maxSplit {
		t.Errorf("%d of %d schedules are two", split, played)
	}
}

// TestVariants shows that the checks can fail: each of the mistakes is caught,
// in a schedule in which the product, with the same faults, keeps its promises.
func TestVariants(t *testing.T) {
	if raced {
		t.Skip("without the race detector it takes a tenth of the time")
	}
	table := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', 0)
	for _, v := range variants {
		tries, what := try(t, v)
		if what == "" {
			t.Errorf("%s: not caught in %d schedules", v.name, tries)
		}
		fmt.Fprintf(table, "%s\t%d\t%s\n", v.name, tries, what)
	}
	if testing.Verbose() {
		fmt.Println("mistake, schedules until it was caught, by what")
		_ = table.Flush() // as above
	}
}

// try returns in how many schedules a variant was caught, and what broke.
func try(t *testing.T, v *variant) (tries int, what string) {
	t.Helper()
	right := &variant{plan: v.plan}
	for n := range maxTries {
		w := runOne(t, uint64(n+1), v)
		// To come to no rest is no broken promise: a variant may just be slow.
		if w.broken == "" || strings.HasPrefix(w.broken, noRest) {
			continue
		}
		if runOne(t, uint64(n+1), right).broken == "" {
			return n + 1, w.broken
		}
	}
	return maxTries, ""
}
