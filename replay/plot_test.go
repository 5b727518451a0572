package replay

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestTimePlot holds pictures of every length against their hours.
func TestTimePlot(t *testing.T) {
	for _, hours := range []int{1, 2, 3, 7, 8, 9, 23, 24, 25, 48, 72, 73, 100, 168, 400, 1000, 5000, 20000, 200_000} {
		for _, count := range []int{1, 3, 17, 999, 123_456, 1 << 40} {
			last := morning.Add(time.Duration(hours-1) * time.Hour)
			now := []Hour{{morning, count}, {last, 2}}
			then := []Hour{{last, count}}
			p := newTimePlot(now, then, morning, last)
			if n := len(p.Slots); n > maxSlots || n > hours || hours > 24 && n < maxSlots/6 {
				t.Errorf("%d hours have %d bars", hours, n)
			}
			checkBars(t, p, count+2, count)
			checkAxes(t, p)
		}
	}
	if p := newTimePlot([]Hour{}, nil, morning, morning); p != nil {
		t.Errorf("nothing is drawn as %+v", p)
	}
}

// checkBars holds the bars' heights and counts against what they stand for.
func checkBars(t *testing.T, p *timePlot, now, then int) {
	t.Helper()
	var heights, counts [2]float64
	scale := 0.0
	for i, s := range p.Slots {
		counts[0], counts[1] = counts[0]+float64(s.Before), counts[1]+float64(s.After)
		heights[0], heights[1] = heights[0]+float64(s.BeforeHeight), heights[1]+float64(s.AfterHeight)
		if s.After > 0 {
			scale = float64(s.AfterHeight) / float64(s.After)
		}
		if s.BeforeHeight < 0 || s.BeforeHeight > plotHeight || s.AfterHeight > plotHeight ||
			s.AfterY+s.AfterHeight != plotHeight && math.Abs(float64(s.AfterY+s.AfterHeight-plotHeight)) > 0.01 {
			t.Errorf("bar %d is %+v", i, s)
		}
		if s.X < 0 || s.X+s.Width > 100.001 || s.BeforeX < s.X || s.AfterX+s.AfterWidth > s.X+s.Width {
			t.Errorf("bar %d is at %+v", i, s)
		}
	}
	if counts != [2]float64{float64(then), float64(now)} {
		t.Errorf("the bars stand for %v, want %d and %d", counts, then, now)
	}
	for i := range heights {
		if math.Abs(heights[i]-counts[i]*scale) > 1e-6*plotHeight {
			t.Errorf("%v have the height %v", counts[i], heights[i])
		}
	}
}

func checkAxes(t *testing.T, p *timePlot) {
	t.Helper()
	if n := len(p.Counts); n < 2 || n > maxLines+1 || p.Counts[0].Y != plotHeight || p.Counts[n-1].Y != 0 || p.Counts[0].Text != "0" {
		t.Errorf("lines at %+v", p.Counts)
	}
	for _, c := range p.Counts {
		if len(c.Text) > 7 {
			t.Errorf("no room for %s", c.Text)
		}
	}
	major := 0
	for _, at := range p.Times {
		if at.X < 0 || at.X >= 100 {
			t.Errorf("a time at %+v", at)
		}
		if !at.Minor {
			major++
		}
	}
	if n := len(p.Times); n == 0 || n > maxTimes+1 || major > maxMajor {
		t.Errorf("%d bars of a %s have the times %+v", len(p.Slots), p.Unit, p.Times)
	}
	if !slices.IsSortedFunc(p.Slots, func(a, b slot) int { return strings.Compare(a.From, b.From) }) {
		t.Error("the bars are not in the order of time")
	}
}

func TestTimePlotBeginsWhereSlotsBegin(t *testing.T) {
	for _, test := range []struct {
		hours             int
		unit, first, mark string
	}{
		{10, "hour", "2026-05-01 08:00", "08:00"},
		{100, "2 hours", "2026-05-01 08:00", "12:00"},
		{24 * 7, "3 hours", "2026-05-01 06:00", "2 May"},
		{24 * 14, "6 hours", "2026-05-01 06:00", "3 May"},
		{24 * 60, "day", "2026-05-01", "4 May"},
		{24 * 100, "2 days", "2026-05-01", "11 May"},
		{24 * 365, "week", "2026-04-27", "May 2026"},
		{24 * 1000, "2 weeks", "2026-04-27", "May 2026"},
	} {
		p := newTimePlot([]Hour{{morning, 1}}, nil, morning, morning.Add(time.Duration(test.hours-1)*time.Hour))
		if p.Unit != test.unit || p.Slots[0].From != test.first || p.Slots[0].After != 1 {
			t.Errorf("%d hours: bars of a %s, the first %+v; times %+v", test.hours, p.Unit, p.Slots[0], p.Times)
		}
		if p.Times[0].Text != test.mark {
			t.Errorf("%d hours: the first time is %+v, want %s", test.hours, p.Times, test.mark)
		}
	}
}

func TestShort(t *testing.T) {
	for n, want := range map[int]string{0: "0", 7: "7", 500: "500", 1000: "1k", 1500: "1.5k", 20_000: "20k", 1_000_000: "1M", 2_500_000: "2.5M", 1_500_000_000_000: "1.5T"} {
		if got := short(n); got != want {
			t.Errorf("%d is %s, want %s", n, got, want)
		}
	}
}
