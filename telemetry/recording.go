package telemetry

import "github.com/prometheus/client_golang/prometheus"

// recording says how recording fares.
type recording struct {
	entries, bytes, failures prometheus.Counter
	dropped                  map[string]prometheus.Counter
}

// recordingDrops is why entries are dropped.
var recordingDrops = []string{"queue", "disk", "encoding", otherValue}

func newRecording(f *factory) recording {
	r := recording{
		entries:  f.counters("recording_entries_total", "Entries that were recorded.").WithLabelValues(),
		bytes:    f.counters("recording_bytes_total", "Bytes of recordings that were written, compressed.").WithLabelValues(),
		failures: f.counters("recording_failures_total", "Files of recordings that could not be written; it is tried again after a minute.").WithLabelValues(),
		dropped:  make(map[string]prometheus.Counter),
	}
	dropped := f.counters("recording_dropped_total", "Entries that were not recorded, by why: there were more than may be written, or the disk did not take them.", "why")
	for _, why := range recordingDrops {
		r.dropped[why] = dropped.WithLabelValues(why)
	}
	return r
}

// Recording observes a recording. It is safe for concurrent use.
type Recording struct{ metrics *recording }

// Recording returns what counts how recording fares.
func (m *Metrics) Recording() Recording { return Recording{&m.recording} }

// Recorded counts entries that were recorded, and their bytes.
func (r Recording) Recorded(entries int, bytes int64) {
	r.metrics.entries.Add(float64(entries))
	r.metrics.bytes.Add(float64(bytes))
}

// RecordingDropped counts entries that were not recorded.
func (r Recording) RecordingDropped(entries int, why string) {
	c, ok := r.metrics.dropped[why]
	if !ok {
		c = r.metrics.dropped[otherValue]
	}
	c.Add(float64(entries))
}

// RecordingFailed counts a file that could not be written. Who records logs it.
func (r Recording) RecordingFailed(error) { r.metrics.failures.Inc() }
