package backfill_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"kubernaut.io/gateway/backfill"
)

// queried frames series as an answer.
func queried(series ...string) string {
	return `{"status":"success","data":{"resultType":"matrix","result":[` + strings.Join(series, ",") + `]}}`
}

const start = 1772438400 // 2026-03-02T08:00:00Z

// serie is a series of a pod with a sample at each of the minutes.
func serie(name, state, pod, value string, minutes ...int) string {
	var samples []string
	for _, m := range minutes {
		samples = append(samples, fmt.Sprintf(`[%d,%q]`, start+60*m, value))
	}
	if state != "" {
		state = `"alertstate":"` + state + `",`
	}
	return fmt.Sprintf(`{"metric":{"__name__":%q,"alertname":"A",%s"namespace":"shop","pod":%q},"values":[%s]}`,
		name, state, pod, strings.Join(samples, ","))
}

func minutes(from, to int) []int {
	var all []int
	for m := from; m <= to; m++ {
		all = append(all, m)
	}
	return all
}

func firing(pod string, minutes ...int) string {
	return serie("ALERTS", "firing", pod, "1", minutes...)
}

// placed is a series of a pod with these labels, if not empty.
func placed(job, instance, pod string) string {
	s := firing(pod, 0)
	for name, value := range map[string]string{"job": job, "instance": instance} {
		if value != "" {
			s = strings.Replace(s, `"pod"`, fmt.Sprintf(`%q:%q,"pod"`, name, value), 1)
		}
	}
	return s
}

func TestReadRange(t *testing.T) {
	for _, row := range []struct {
		name, text, want string
		o                backfill.Options
	}{
		{"one sample", queried(firing("a", 3)), "08:03:30 a firing 08:03:00\n", backfill.Options{}},
		{"nothing", queried(), "", backfill.Options{}},
		{"null", `{"status":"success","data":{"resultType":"matrix","result":null}}`, "", backfill.Options{}},
		{
			"warnings first", `{"warnings":["slow"],"status":"success","data":{"result":[` + firing("a", 3) + `],"resultType":"matrix"}}`,
			"08:03:30 a firing 08:03:00\n",
			backfill.Options{},
		},
		{"the end is no resolve", queried(firing("a", minutes(0, 9)...)), "08:00:30 a firing 08:00:00\n", backfill.Options{}},
		{
			"a hole is none", queried(firing("a", 0, 1, 2, 7, 8), firing("b", 8)),
			"08:00:30 a firing 08:00:00\n08:10:30 a firing 08:00:00 b firing 08:08:00\n",
			backfill.Options{},
		},
		{
			"a gap ends it", queried(firing("a", 0, 1, 2, 8, 9)),
			"08:00:30 a firing 08:00:00\n08:05:30 a resolved 08:00:00-08:03:00\n08:08:30 a firing 08:08:00\n",
			backfill.Options{},
		},
		{
			"a shorter gap", queried(firing("a", 0, 1, 2, 6, 7)),
			"08:00:30 a firing 08:00:00\n08:05:30 a resolved 08:00:00-08:03:00\n08:06:30 a firing 08:06:00\n",
			backfill.Options{Gap: 3 * time.Minute},
		},
		{"a long step may miss one", queried(firing("a", 0, 10, 30, 40)), "08:00:30 a firing 08:00:00\n", backfill.Options{}},
		{
			"a long step may not miss two", queried(firing("a", 0, 10, 40)),
			"08:00:30 a firing 08:00:00\n08:20:30 a resolved 08:00:00-08:20:00\n08:40:30 a firing 08:40:00\n",
			backfill.Options{},
		},
		{
			"over before group_wait", queried(firing("a", 0), firing("b", minutes(0, 20)...)),
			"08:02:00 a resolved 08:00:00-08:01:00 b firing 08:00:00\n",
			backfill.Options{GroupWait: 2 * time.Minute},
		},
		{
			"alone and over before group_wait", queried(firing("a", 0), serie("ALERTS", "pending", "b", "1", minutes(0, 20)...)), "",
			backfill.Options{GroupWait: 2 * time.Minute},
		},
		{
			"again within an interval", queried(firing("a", append(minutes(0, 1), minutes(9, 20)...)...)),
			"08:00:30 a firing 08:00:00\n",
			backfill.Options{GroupInterval: 10 * time.Minute},
		},
		{
			"repeats at the first interval after", queried(firing("a", minutes(0, 45)...)),
			"08:00:30 a firing 08:00:00\n08:25:30 a firing 08:00:00\n",
			backfill.Options{RepeatInterval: 20 * time.Minute},
		},
		{
			"repeats each four hours and five minutes", queried(firing("a", minutes(0, 600)...)),
			"08:00:30 a firing 08:00:00\n12:05:30 a firing 08:00:00\n16:10:30 a firing 08:00:00\n",
			backfill.Options{},
		},
		{
			"nothing repeats after the data", queried(firing("a", append(minutes(0, 11), 18, 19)...)),
			"08:00:30 a firing 08:00:00\n",
			backfill.Options{GroupInterval: 10 * time.Minute, RepeatInterval: 10 * time.Minute},
		},
		{
			"by job, by instance, by the number of labels, by labels",
			queried(placed("", "", "p6"), placed("", "", "p5"), placed("", "a", "p4"), placed("y", "a", "p3"), placed("x", "b", "p2"), placed("x", "a", "p1")),
			"08:00:30 p1 firing 08:00:00 p2 firing 08:00:00 p3 firing 08:00:00 p4 firing 08:00:00 p5 firing 08:00:00 p6 firing 08:00:00\n",
			backfill.Options{},
		},
		{
			"all resolved", queried(firing("a", minutes(0, 3)...), firing("b", minutes(0, 4)...), serie("ALERTS", "pending", "c", "1", 30)),
			"08:00:30 a firing 08:00:00 b firing 08:00:00\n08:05:30 a resolved 08:00:00-08:04:00 b resolved 08:00:00-08:05:00\n",
			backfill.Options{},
		},
		{"pending is not firing", queried(serie("ALERTS", "pending", "a", "1", minutes(0, 9)...)), "", backfill.Options{}},
		{"zero is not firing", queried(serie("ALERTS", "firing", "a", "0", 0, 1)), "", backfill.Options{}},
		{
			"by pod", queried(firing("a", 0), firing("b", 0)), "08:00:30 a firing 08:00:00\n08:00:30 b firing 08:00:00\n",
			backfill.Options{GroupBy: []string{"pod"}},
		},
		{
			"by all", queried(firing("a", 0), firing("b", 0)), "08:00:30 a firing 08:00:00\n08:00:30 b firing 08:00:00\n",
			backfill.Options{GroupBy: []string{"..."}},
		},
		{
			"by none", queried(firing("b", 0), firing("a", 0)), "08:00:30 a firing 08:00:00 b firing 08:00:00\n",
			backfill.Options{GroupBy: []string{}},
		},
		{
			"answers after each other", queried(firing("a", 0, 1, 2)) + "\n" + queried(firing("a", 2, 3, 4)),
			"08:00:30 a firing 08:00:00\n",
			backfill.Options{},
		},
		{
			"the step is not between answers", queried(firing("a", 0, 30, 60)) + "\n" + queried(firing("a", 61, 91, 121)),
			"08:00:30 a firing 08:00:00\n",
			backfill.Options{},
		},
		{
			"fractions and blanks", `[ {"metric": {"__name__":"ALERTS","alertname":"A","alertstate":"firing","pod":"a"}, "values": [ [ 1772438400.5 , "1" ] ]} ]`,
			"08:00:30.5 a firing 08:00:00.5\n",
			backfill.Options{},
		},
		{
			"without a for, by ALERTS_FOR_STATE",
			queried(serie("ALERTS_FOR_STATE", "", "a", strconv.Itoa(start+560), minutes(10, 12)...), firing("a", minutes(10, 12)...), firing("b", 0)),
			"08:00:30 b firing 08:00:00\n08:05:30 b resolved 08:00:00-08:01:00\n08:09:50 a firing 08:09:20\n",
			backfill.Options{},
		},
		{
			"with a for, whatever ALERTS_FOR_STATE says",
			queried(serie("ALERTS_FOR_STATE", "", "a", strconv.Itoa(start), minutes(1, 12)...), firing("a", minutes(10, 12)...)),
			"08:10:30 a firing 08:10:00\n",
			backfill.Options{},
		},
		{
			"from before the data, by ALERTS_FOR_STATE",
			queried(serie("ALERTS_FOR_STATE", "", "a", strconv.Itoa(start-600), minutes(0, 12)...), firing("a", minutes(0, 12)...)),
			"08:00:00 a firing 07:50:00\n",
			backfill.Options{},
		},
		{
			"an ALERTS_FOR_STATE of the future",
			queried(serie("ALERTS_FOR_STATE", "", "a", strconv.Itoa(start+600), 0), firing("a", 0)),
			"08:00:30 a firing 08:00:00\n",
			backfill.Options{},
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			all, err := collect(t, row.text, row.o)
			if err != nil {
				t.Fatal(err)
			}
			if told(all) != row.want {
				t.Errorf("got\n%swant\n%s", told(all), row.want)
			}
			for _, s := range all {
				checkDecodes(t, s)
			}
		})
	}
}
