package page

import (
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	gateway "kubernaut.io/gateway"
)

// plotHeight is the height of a plot in its own units; its width is a unit a bin.
const plotHeight = 100

// stacked are the outcomes from the bottom of a bar to its top: what a person
// has to look at stands on the ground, where it is seen however many duplicates
// there are.
var stacked = [...]gateway.Outcome{
	gateway.Failed, gateway.Rejected, gateway.Spooled, gateway.Created,
	gateway.Member, gateway.Resolved, gateway.Suppressed, gateway.Duplicate,
}

// latencyTicks are the lines across the plot of latency, whose scale is
// logarithmic from latencyLow to latencyHigh.
var latencyTicks = [...]time.Duration{time.Millisecond, 10 * time.Millisecond, 100 * time.Millisecond, time.Second, 10 * time.Second}

const (
	latencyLow  = 100 * time.Microsecond
	latencyHigh = 30 * time.Second
)

// plots are what happened lately, as pictures.
type plots struct {
	// number is the newest bin that is in them.
	number            int64
	Rates, Latency    plot
	Now, Peak         float64
	P50, P99          time.Duration
	Answered, Refused uint64
}

// plot is a picture: bars of one class each, and lines with their labels.
type plot struct {
	Width, Height int
	Bars          []bars
	Ticks         []tick
	// Data has the same for scripts, as JSON.
	Data string
}

// bars are the bars of one class, as the data of an SVG path.
type bars struct{ Class, Path string }

// tick is a line across at Y, and its label there in percent from the top.
type tick struct {
	Y     string
	Label string
}

// plotted is the data of a plot. Rows has for each bin that is not empty, by its
// index, a value for each of Names.
type plotted struct {
	From  int64             `json:"from"`
	Step  int64             `json:"step"`
	Bins  int               `json:"bins"`
	Unit  string            `json:"unit"`
	Names []string          `json:"names"`
	Rows  map[int][]float64 `json:"rows"`
}

// draw makes plots of bins, the oldest first.
func draw(all []bin) *plots {
	p := &plots{number: all[len(all)-1].number}
	p.rates(all)
	p.latencies(all)
	return p
}

func data(all []bin, unit string, names ...string) *plotted {
	return &plotted{
		From: all[0].number * int64(binLength/time.Second), Step: int64(binLength / time.Second), Bins: len(all),
		Unit: unit, Names: names, Rows: make(map[int][]float64),
	}
}

func (d *plotted) text() string {
	text, err := json.Marshal(d)
	if err != nil {
		return "" // no number here is one that JSON does not have
	}
	return string(text)
}

func (b *bin) signals() (n uint64) {
	for _, of := range b.outcomes {
		n += uint64(of)
	}
	return n
}

// perSecond returns a count of a bin by the second, to a tenth.
func perSecond(n uint64) float64 {
	return math.Round(10*float64(n)/binLength.Seconds()) / 10
}

func (p *plots) rates(all []bin) {
	var most uint64
	for i := range all {
		most = max(most, all[i].signals())
	}
	p.Peak, p.Now = perSecond(most), perSecond(all[len(all)-1].signals())
	top := ceiling(p.Peak)
	d := data(all, "/s")
	paths := make([]strings.Builder, len(stacked))
	for x := range all {
		if all[x].signals() == 0 {
			continue
		}
		row, y := make([]float64, len(stacked)), float64(plotHeight)
		for i, o := range stacked {
			n := uint64(all[x].outcomes[slices.Index(gateway.Outcomes[:], o)])
			row[i] = perSecond(n)
			height := float64(n) / binLength.Seconds() / top * plotHeight
			if n > 0 {
				bar(&paths[i], x, y-height, y)
			}
			y -= height
		}
		d.Rows[x] = row
	}
	p.Rates = plot{Width: len(all), Height: plotHeight}
	for i, o := range stacked {
		d.Names = append(d.Names, string(o))
		if paths[i].Len() > 0 {
			p.Rates.Bars = append(p.Rates.Bars, bars{string(o), paths[i].String()})
		}
	}
	for _, share := range [...]float64{1, .5, 0} {
		p.Rates.Ticks = append(p.Rates.Ticks, tick{decimal((1 - share) * plotHeight), rate(share * top)})
	}
	p.Rates.Data = d.text()
}

func (p *plots) latencies(all []bin) {
	var sum [latencyBuckets]uint32
	d := data(all, "s", "p50", "p99", "requests", "refused")
	var spans, medians, refusals strings.Builder
	for x := range all {
		b := &all[x]
		p.Answered += uint64(b.requests)
		p.Refused += uint64(b.refused)
		for i, n := range b.latency {
			sum[i] += n
		}
		p50, ok := quantile(&b.latency, .5)
		if !ok {
			continue
		}
		p99, _ := quantile(&b.latency, .99)
		d.Rows[x] = []float64{p50.Seconds(), p99.Seconds(), float64(b.requests), float64(b.refused)}
		middle := height(p50)
		bar(&spans, x, min(height(p99), middle-1), middle)
		bar(&medians, x, middle-1, middle+1)
		if b.refused > 0 {
			bar(&refusals, x, 0, 4)
		}
	}
	p.P50, _ = quantile(&sum, .5)
	p.P99, _ = quantile(&sum, .99)
	p.Latency = plot{
		Width: len(all), Height: plotHeight, Data: d.text(),
		Bars: []bars{{"span", spans.String()}, {"median", medians.String()}, {"refusal", refusals.String()}},
	}
	for _, t := range latencyTicks {
		p.Latency.Ticks = append(p.Latency.Ticks, tick{decimal(height(t)), brief(t)})
	}
}

// height returns where a latency is, from the top.
func height(l time.Duration) float64 {
	l = min(max(l, latencyLow), latencyHigh)
	return plotHeight * (1 - math.Log(float64(l)/float64(latencyLow))/math.Log(float64(latencyHigh)/float64(latencyLow)))
}

// bar adds a bar from y to bottom. Of a bar that stands for something there is
// always something to be seen.
func bar(path *strings.Builder, x int, y, bottom float64) {
	path.WriteString("M" + strconv.Itoa(x) + " " + decimal(bottom) + "v-" + decimal(max(bottom-y, .5)) + "h1v" + decimal(max(bottom-y, .5)) + "z")
}

// ceiling returns the next round number: 1, 2 or 5 times a power of ten.
func ceiling(most float64) float64 {
	top := 1.0
	for top < most {
		for _, factor := range [...]float64{2, 2.5, 2} {
			if top *= factor; top >= most {
				break
			}
		}
	}
	return top
}

func decimal(v float64) string { return strconv.FormatFloat(math.Round(v*10)/10, 'f', -1, 64) }

// rate returns a number by the second, as short as it makes sense.
func rate(v float64) string {
	switch {
	case v == 0:
		return "0/s"
	case v < 10:
		return strconv.FormatFloat(v, 'f', 1, 64) + "/s"
	default:
		return thousands(int64(math.Round(v))) + "/s"
	}
}

// brief returns a duration to two digits.
func brief(d time.Duration) string {
	switch {
	case d <= 0:
		return "–"
	case d < 10*time.Millisecond:
		return strconv.FormatFloat(float64(d)/float64(time.Millisecond), 'g', 2, 64) + " ms"
	case d < time.Second:
		return strconv.FormatInt(d.Milliseconds(), 10) + " ms"
	default:
		return strconv.FormatFloat(d.Seconds(), 'g', 2, 64) + " s"
	}
}

// thousands writes a number with its thousands set apart.
func thousands(n int64) string {
	digits := strconv.FormatInt(n, 10)
	sign := ""
	if n < 0 {
		sign, digits = "-", digits[1:]
	}
	var groups []string
	for len(digits) > 3 {
		groups = append([]string{digits[len(digits)-3:]}, groups...)
		digits = digits[:len(digits)-3]
	}
	return sign + strings.Join(append([]string{digits}, groups...), ",")
}
