package main

import (
	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/grafana/grafana-foundation-sdk/go/stat"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
)

// Sizes of panels on the grid of 24 columns.
const (
	statWidth, statHeight   = 3, 4
	chartWidth, chartHeight = 8, 8
)

// source is the data source that the variable names.
var source = common.DataSourceRef{Type: new("prometheus"), Uid: new("$datasource")}

// query is a series of a chart and its name in the legend.
type query struct{ expr, legend string }

// figure is one panel.
type figure struct {
	title, unit string
	// description says what is shown, and what is good or bad about it.
	description string
	queries     []query
	// stacked is for parts of a whole.
	stacked bool
	// most is the top of a scale that has one.
	most float64
	// bad is the value from which a number is shown as bad; 0 for none.
	bad float64
	// low says that numbers below bad are bad.
	low bool
}

// target returns a query as Grafana has it.
func (q query) target(ref string) *prometheus.DataqueryBuilder {
	return prometheus.NewDataqueryBuilder().RefId(ref).Datasource(source).Expr(q.expr).LegendFormat(q.legend)
}

// refs name the queries of a panel.
const refs = "ABCDEFGH"

// chart returns a figure over time.
func (f figure) chart() cog.Builder[dashboard.Panel] {
	p := timeseries.NewPanelBuilder().
		Title(f.title).Description(f.description).Unit(f.unit).Datasource(source).
		Span(chartWidth).Height(chartHeight).Min(0).
		LineWidth(1).FillOpacity(10).ShowPoints(common.VisibilityModeNever).
		Legend(common.NewVizLegendOptionsBuilder().ShowLegend(true).
			DisplayMode(common.LegendDisplayModeList).Placement(common.LegendPlacementBottom).Calcs([]string{})).
		Tooltip(common.NewVizTooltipOptionsBuilder().Mode(common.TooltipDisplayModeMulti).Sort(common.SortOrderDescending))
	if f.stacked {
		p = p.FillOpacity(30).Stacking(common.NewStackingConfigBuilder().Mode(common.StackingModeNormal).Group("A"))
	}
	if f.most > 0 {
		p = p.Max(f.most)
	}
	if f.bad > 0 {
		p = p.Thresholds(f.thresholds()).
			ThresholdsStyle(common.NewGraphThresholdsStyleConfigBuilder().Mode(common.GraphThresholdsStyleModeDashed))
	}
	for i, q := range f.queries {
		p = p.WithTarget(q.target(refs[i : i+1]).Range())
	}
	return p
}

// number returns a figure as of now.
func (f figure) number() cog.Builder[dashboard.Panel] {
	p := stat.NewPanelBuilder().
		Title(f.title).Description(f.description).Unit(f.unit).Datasource(source).
		Span(statWidth).Height(statHeight).
		ColorMode(common.BigValueColorModeValue).GraphMode(common.BigValueGraphModeArea).Orientation(common.VizOrientationAuto).
		ReduceOptions(common.NewReduceDataOptionsBuilder().Calcs([]string{"lastNotNull"})).
		NoValue("–")
	if f.bad > 0 {
		p = p.Thresholds(f.thresholds())
	} else {
		p = p.ColorMode(common.BigValueColorModeNone)
	}
	for i, q := range f.queries {
		p = p.WithTarget(q.target(refs[i : i+1]).Range())
	}
	return p
}

// thresholds tell good from bad, for those who don't see colours by the line or the value.
func (f figure) thresholds() *dashboard.ThresholdsConfigBuilder {
	below, above := "green", "red"
	if f.low {
		below, above = above, below
	}
	return dashboard.NewThresholdsConfigBuilder().Mode(dashboard.ThresholdsModeAbsolute).
		Steps([]dashboard.Threshold{{Color: below}, {Value: new(f.bad), Color: above}})
}
