package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"

	"kubernaut.io/gateway/app"
)

const (
	// progressAfter is how long a replay may take without anything being shown at a
	// terminal, and progressEvery how often it is renewed.
	progressAfter = 500 * time.Millisecond
	progressEvery = 200 * time.Millisecond
	// progressLine is how often a line is written where there is no terminal.
	progressLine = 10 * time.Second
	// progressWidth is that of the bar, in columns; a narrow terminal has less.
	progressWidth = 30
	// clearLine empties the line at a terminal.
	clearLine = "\r\x1b[K"
)

// progress tells people how far a replay has come: with a bar at a terminal, with
// a line now and then elsewhere.
type progress struct {
	out         io.Writer
	terminal    bool
	began, last time.Time
	bar         *progressbar.ProgressBar
	// drawn says that there is something to be cleared.
	drawn bool
}

func newProgress(stderr io.Writer) *progress {
	now := time.Now()
	return &progress{out: stderr, terminal: isTerminal(stderr), began: now, last: now}
}

// isTerminal reports whether people look at what is written.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// show tells how far it has come, if it is time to.
func (p *progress) show(at app.ReplayProgress) {
	now := time.Now()
	every := progressLine
	if p.terminal {
		every = progressEvery
		if !p.drawn {
			every = progressAfter
		}
	}
	if now.Sub(p.last) < every {
		return
	}
	p.last = now
	took := now.Sub(p.began)
	signals, left := fmt.Sprintf("%d signals, %.0f a second", at.Signals, float64(at.Signals)/took.Seconds()), ""
	if at.Read > 0 && at.Read < at.Size {
		rest := time.Duration(float64(took) * (float64(at.Size)/float64(at.Read) - 1))
		left = fmt.Sprintf(", %s left", rest.Round(time.Second))
	}
	switch {
	case !p.terminal && left != "":
		fmt.Fprintf(p.out, "replayed %s, %d %% read%s\n", signals, 100*at.Read/at.Size, left)
	case !p.terminal:
		fmt.Fprintf(p.out, "replayed %s\n", signals)
	case left != "":
		p.draw(at, signals+left)
	default:
		// All is read, or nobody knows how much there is.
		fmt.Fprint(p.out, clearLine+signals)
	}
	p.drawn = true
}

// draw draws the bar, which the library fits into the terminal.
func (p *progress) draw(at app.ReplayProgress, text string) {
	if p.bar == nil {
		p.bar = progressbar.NewOptions64(at.Size, progressbar.OptionSetWriter(p.out), progressbar.OptionUseANSICodes(true),
			progressbar.OptionSetWidth(progressWidth), progressbar.OptionSetPredictTime(false), progressbar.OptionSetDescription(text))
	}
	// Errors are those of the terminal.
	_ = p.bar.Set64(at.Read)
	p.bar.Describe(text)
}

// clear leaves the terminal as it was.
func (p *progress) clear() {
	if p.terminal && p.drawn {
		fmt.Fprint(p.out, clearLine)
	}
	p.drawn = false
}
