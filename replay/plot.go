package replay

import (
	"strconv"
	"time"
)

const (
	// plotHeight is the height of the highest bar, in pixels.
	plotHeight = 160
	// maxSlots is how many bars fit beside each other on a telephone.
	maxSlots = 72
	// maxTimes is how many times fit under them on a screen, maxMajor how many on a
	// telephone, and maxYears how many of those that have a year.
	maxTimes, maxMajor, maxYears = 12, 6, 4
	// maxLines is how many lines lie behind the bars, the lowest not counted.
	maxLines = 4
	// fewSlots is how many bars are too few for all of a screen's width.
	fewSlots = 8

	dayHours  = 24
	weekHours = 7 * dayHours
)

// timePlot is a picture of counts over time, which the template "plot" draws:
// two bars for each slot of time, one before the other. What lies along the time
// is in percent of the picture's width, so that text keeps its size on a screen
// of any width; heights are in pixels, from the top. Libraries draw colours into
// each element, where the page's policy forbids them and a dark scheme can't
// change them.
type timePlot struct {
	// Unit is how long a slot is.
	Unit  string
	Slots []slot
	// Times are marks below the bars, Counts lines behind them.
	Times  []mark
	Counts []mark
	Height pixels
	Few    bool
}

// slot is what two runs count in a span of time.
type slot struct {
	// From is when it begins, in UTC.
	From          string
	Before, After int
	X, Width      percent
	// BeforeX and so on are the bars' places within the picture.
	BeforeX, BeforeWidth, AfterX, AfterWidth percent
	BeforeY, BeforeHeight                    pixels
	AfterY, AfterHeight                      pixels
}

// mark is one of an axis.
type mark struct {
	Text string
	X    percent
	Y    pixels
	// Minor says that there is only room for it on a wide screen, and Last that it
	// stands at the right end.
	Minor, Last bool
}

// percent and pixels are lengths as SVG has them.
type (
	percent float64
	pixels  float64
)

// String returns p with its sign.
func (p percent) String() string { return strconv.FormatFloat(float64(p), 'f', 3, 64) + "%" }

// String returns p without a unit.
func (p pixels) String() string { return strconv.FormatFloat(float64(p), 'f', 1, 64) }

// newTimePlot draws hours from the first to the last; then are those of the
// baseline. It returns nil where there is nothing in them.
func newTimePlot(now, then []Hour, first, last time.Time) *timePlot {
	from, to := hourOf(first), hourOf(last)
	step := stepFor(from, to, maxSlots)
	from, to = from-modulo(from, step), to-modulo(to, step)+step
	p := &timePlot{Unit: unitOf(step), Height: plotHeight, Slots: make([]slot, (to-from)/step)}
	for i := range p.Slots {
		p.Slots[i].From = formatHour(from+int64(i)*step, step)
	}
	for _, h := range then {
		p.Slots[(hourOf(h.At)-from)/step].Before += h.Count
	}
	for _, h := range now {
		p.Slots[(hourOf(h.At)-from)/step].After += h.Count
	}
	peak := 0
	for i := range p.Slots {
		peak = max(peak, p.Slots[i].Before, p.Slots[i].After)
	}
	if peak == 0 {
		return nil
	}
	p.Few = len(p.Slots) <= fewSlots
	p.place(p.count(peak))
	p.time(from, to, step)
	return p
}

// place gives the bars their places; top is what the whole height stands for.
func (p *timePlot) place(top int) {
	width := 100 / percent(len(p.Slots))
	height := func(count int) pixels { return plotHeight * pixels(count) / pixels(top) }
	for i := range p.Slots {
		s := &p.Slots[i]
		s.X, s.Width = percent(i)*width, width
		s.BeforeX, s.BeforeWidth = s.X+width*0.08, width*0.84
		s.AfterX, s.AfterWidth = s.X+width*0.27, width*0.46
		s.BeforeHeight, s.AfterHeight = height(s.Before), height(s.After)
		s.BeforeY, s.AfterY = plotHeight-s.BeforeHeight, plotHeight-s.AfterHeight
	}
}

// count draws the axis of counts, and returns where it ends.
func (p *timePlot) count(peak int) (top int) {
	step := 1
	for i := 0; (peak+step-1)/step > maxLines; i++ {
		step = [...]int{2, 5, 10}[i%3] * power(i/3)
	}
	top = (peak + step - 1) / step * step
	for n := 0; n <= top; n += step {
		p.Counts = append(p.Counts, mark{Text: short(n), Y: plotHeight - plotHeight*pixels(n)/pixels(top)})
	}
	return top
}

// time draws the axis of time, from and to being its hours.
func (p *timePlot) time(from, to, step int64) {
	apart, most := max(step, stepFor(from, to-1, maxTimes)), int64(maxMajor)
	if inYears(to - from) {
		most = maxYears
	}
	every := int64(1) // which of them there is room for on a telephone
	for (to-from)/apart > every*most {
		every *= 2
	}
	for hour := from + modulo(-from, apart); hour < to; hour += apart {
		x := 100 * percent(hour-from) / percent(to-from)
		p.Times = append(p.Times, mark{
			Text: formatMark(hour, to-from), X: x, Last: x > 94, Minor: modulo(hour/apart, every) != 0,
		})
	}
}

// steps are how many hours a slot may have; beyond them it is doubled.
var steps = [...]int64{1, 2, 3, 6, 12, dayHours, 2 * dayHours, weekHours}

// stepFor returns how many hours one of at most so many slots has, that together
// have the hours from first to last.
func stepFor(first, last, most int64) int64 {
	fits := func(step int64) bool { return (last-modulo(last, step)-first+modulo(first, step))/step < most }
	for _, step := range steps {
		if fits(step) {
			return step
		}
	}
	step := int64(2 * weekHours)
	for !fits(step) {
		step *= 2
	}
	return step
}

// hourOf returns the number of an hour. Those that a day has begin with a multiple
// of 24, and a week's, which begins on a Monday, with one of 168.
func hourOf(t time.Time) int64 {
	seconds := t.Unix() - time.Time{}.Unix()
	return (seconds - modulo(seconds, 3600)) / 3600
}

func atHour(hour int64) time.Time { return time.Unix(time.Time{}.Unix()+hour*3600, 0).UTC() }

// modulo returns a number from 0 to m-1, also for what is negative.
func modulo(n, m int64) int64 { return (n%m + m) % m }

func power(of int) int {
	n := 1
	for range of {
		n *= 10
	}
	return n
}

// unitOf names so many hours, as in "created in each day".
func unitOf(hours int64) string {
	for _, unit := range []struct {
		name  string
		hours int64
	}{{"week", weekHours}, {"day", dayHours}, {"hour", 1}} {
		switch n := hours / unit.hours; {
		case hours%unit.hours != 0:
		case n == 1:
			return unit.name
		default:
			return strconv.FormatInt(n, 10) + " " + unit.name + "s"
		}
	}
	return "hour" // not reached: every number of hours has hours
}

// formatHour tells when a slot of so many hours begins.
func formatHour(hour, step int64) string {
	if step%dayHours == 0 {
		return atHour(hour).Format(time.DateOnly)
	}
	return atHour(hour).Format(minute)
}

// inYears reports whether an axis of so many hours needs years.
func inYears(hours int64) bool { return hours > 360*dayHours }

// formatMark names a time on an axis of so many hours.
func formatMark(hour, span int64) string {
	switch at := atHour(hour); {
	case inYears(span):
		return at.Format("Jan 2006")
	case hour%dayHours == 0:
		return at.Format("2 Jan")
	default:
		return at.Format("15:04")
	}
}

// short writes a large number in little room.
func short(n int) string {
	unit := ""
	for _, u := range []string{"k", "M", "G", "T", "P", "E"} {
		if n < 1000 || n%100 != 0 {
			break
		}
		if n%1000 != 0 {
			return strconv.FormatFloat(float64(n)/1000, 'f', 1, 64) + u
		}
		n, unit = n/1000, u
	}
	return strconv.Itoa(n) + unit
}
