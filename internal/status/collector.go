package status

import (
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// collector turns one Snapshot into metrics at every scrape, so that the page
// and the status verb can never disagree.
type collector struct {
	source Source
	descs  map[string]*prometheus.Desc
}

// metricNames lists every metric with its help and labels; docs/metrics.md is
// checked against it.
var metricNames = []struct {
	name, help string
	labels     []string
}{
	{"tailwater_build_info", "Always 1; the labels say what runs.", []string{"version", "go"}},
	{"tailwater_source_state", "1 for the state a shard is in, 0 for the others.", []string{"source", "shard", "state"}},
	{"tailwater_source_owned", "1 while the shard is this process's, 0 while another one has it.", []string{"source", "shard"}},
	{"tailwater_source_connected", "1 while the shard's server is connected.", []string{"source", "shard"}},
	{"tailwater_source_last_event_timestamp_seconds", "Commit time of the newest transaction read.", []string{"source", "shard"}},
	{"tailwater_source_heartbeat_timestamp_seconds", "When the server last sent anything.", []string{"source", "shard"}},
	{"tailwater_source_lag_seconds", "How far the shard's published events are behind its server.", []string{"source", "shard"}},
	{"tailwater_source_binlog_headroom_seconds", "How long the server still keeps the binlog that the shard's position is in.", []string{"source", "shard"}},
	{"tailwater_source_binlog_behind_bytes", "Bytes of binlog between the shard's position and the end.", []string{"source", "shard"}},
	{"tailwater_source_passed_transactions_total", "Transactions that resets of the shard's position have passed over.", []string{"source", "shard"}},
	{"tailwater_source_clock_offset_seconds", "How far the clock of the shard's server is ahead of this machine's.", []string{"source", "shard"}},
	{"tailwater_source_reconnects_total", "Connections made after the first.", []string{"source", "shard"}},
	{"tailwater_source_rows_total", "Row changes of followed tables read.", []string{"source", "shard"}},
	{"tailwater_source_table_changes_total", "Statements that took rows from a followed table, or brought some, without row events, by table.", []string{"source", "shard"}},
	{"tailwater_source_shadow_rows_total", "Row changes of tables that online schema changes fill; they are in no view.", []string{"source", "shard"}},
	{"tailwater_source_accepted_total", "Statements that would have stopped the shard, and were passed over because a person has accepted their transaction.", []string{"source", "shard"}},
	{"tailwater_source_invalid_text_total", "Values of events that are bytes in place of a text, named in _raw: they are not valid in the character set of their column.", []string{"source", "shard"}},
	{"tailwater_source_transactions_total", "Transactions read, before filtering.", []string{"source", "shard"}},
	{"tailwater_source_bytes_total", "Bytes of binlog read.", []string{"source", "shard"}},
	{"tailwater_source_events_total", "Events made of the shard's rows, by outcome.", []string{"source", "shard", "outcome"}},
	{"tailwater_checkpoint_timestamp_seconds", "When the shard's position was last stored.", []string{"source", "shard"}},
	{"tailwater_view_events_total", "Events published per view.", []string{"view"}},
	{"tailwater_view_bytes_total", "Bytes of event JSON published per view.", []string{"view"}},
	{"tailwater_capture_tables", "Tables of a source that are captured.", []string{"source"}},
	{"tailwater_capture_stopped_tables", "Captured tables, by shard, whose rows are not published.", []string{"source"}},
	{"tailwater_capture_noted_tables", "Captured tables, by shard, with a statement of which nobody can say what it did.", []string{"source"}},
	{"tailwater_capture_skipped_rows_total", "Row changes of stopped tables, which were not published.", []string{"source"}},
	{"tailwater_window_watermark_timestamp_seconds", "Watermark of a metric: the least over its shards and partitions.", []string{"metric"}},
	{"tailwater_windows_closed_total", "Windows closed.", []string{"metric"}},
	{"tailwater_window_groups", "Groups in open and retained windows.", []string{"metric"}},
	{"tailwater_window_late_rows_total", "Events of windows that their partition's watermark had passed.", []string{"metric"}},
	{"tailwater_window_below_rows_total", "Events of windows that are no longer kept.", []string{"metric"}},
	{"tailwater_window_skipped_rows_total", "Events whose time column names no moment from 1970 to 2255.", []string{"metric"}},
	{"tailwater_window_negative_groups_total", "Groups from which more rows were taken than were ever put in.", []string{"metric"}},
	{"tailwater_window_stale", "1 while windows are kept that may count rows that are gone.", []string{"metric"}},
	{"tailwater_window_merges_total", "Batches sent to the window store, by outcome.", []string{"metric", "outcome"}},
	{"tailwater_window_behind_records", "Records of the stream that a metric has not merged yet.", []string{"metric"}},
	{"tailwater_window_failed", "1 while a metric does not move because of an error.", []string{"metric"}},
	{"tailwater_lake_commit_timestamp_seconds", "When a batch of the lake table was last committed.", []string{"view", "layout"}},
	{"tailwater_lake_rows_total", "Rows committed to the lake.", []string{"view", "layout"}},
	{"tailwater_lake_files_total", "Files committed to the lake.", []string{"view", "layout"}},
	{"tailwater_lake_bytes_total", "Bytes committed to the lake.", []string{"view", "layout"}},
	{"tailwater_lake_duplicates_total", "Events that stood in the stream before and were not written again.", []string{"view", "layout"}},
	{"tailwater_lake_failed", "1 while a lake table does not move because of an error.", []string{"view", "layout"}},
	{"tailwater_stream_bytes", "Bytes that the embedded stream holds on disk.", nil},
	{"tailwater_stream_paused", "1 while readers wait for room in the stream.", nil},
	{"tailwater_stream_held_partitions", "Partitions of which nobody sees the newest records, behind an open transaction.", nil},
}

func newCollector(s Source) *collector {
	c := &collector{source: s, descs: make(map[string]*prometheus.Desc)}
	for _, m := range metricNames {
		c.descs[m.name] = prometheus.NewDesc(m.name, m.help, m.labels, nil)
	}
	return c
}

// Describe sends every description.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range c.descs {
		ch <- d
	}
}

// Collect takes a snapshot and sends it as metrics.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	s := c.source.Snapshot()
	e := emitter{c, ch}
	e.gauge("tailwater_build_info", 1, s.Version, runtime.Version())
	for i := range s.Shards {
		e.shard(&s.Shards[i])
	}
	for _, v := range s.Views {
		e.counter("tailwater_view_events_total", float64(v.Events), v.View)
		e.counter("tailwater_view_bytes_total", float64(v.Bytes), v.View)
	}
	for i := range s.Captures {
		c := &s.Captures[i]
		e.gauge("tailwater_capture_tables", float64(c.Tables), c.Source)
		e.gauge("tailwater_capture_stopped_tables", float64(c.Stopped), c.Source)
		e.gauge("tailwater_capture_noted_tables", float64(len(c.Notices)-c.Stopped), c.Source)
		e.counter("tailwater_capture_skipped_rows_total", float64(c.Skipped), c.Source)
	}
	for _, m := range s.Metrics {
		e.time("tailwater_window_watermark_timestamp_seconds", m.Watermark, m.Metric)
		e.counter("tailwater_windows_closed_total", float64(m.Closed), m.Metric)
		e.gauge("tailwater_window_groups", float64(m.Groups), m.Metric)
		e.counter("tailwater_window_late_rows_total", float64(m.Late), m.Metric)
		e.counter("tailwater_window_below_rows_total", float64(m.Below), m.Metric)
		e.counter("tailwater_window_skipped_rows_total", float64(m.Skipped), m.Metric)
		e.counter("tailwater_window_negative_groups_total", float64(m.Negatives), m.Metric)
		e.gauge("tailwater_window_stale", truth(m.StaleBy != ""), m.Metric)
		e.counter("tailwater_window_merges_total", float64(m.Flushes), m.Metric, "taken")
		e.counter("tailwater_window_merges_total", float64(m.Refused), m.Metric, "refused")
		e.gauge("tailwater_window_behind_records", float64(m.Behind), m.Metric)
		e.gauge("tailwater_window_failed", truth(m.Error != ""), m.Metric)
	}
	for _, l := range s.Lake {
		e.time("tailwater_lake_commit_timestamp_seconds", l.LastCommit, l.View, l.Layout)
		e.counter("tailwater_lake_rows_total", float64(l.Rows), l.View, l.Layout)
		e.counter("tailwater_lake_files_total", float64(l.Files), l.View, l.Layout)
		e.counter("tailwater_lake_bytes_total", float64(l.Bytes), l.View, l.Layout)
		e.counter("tailwater_lake_duplicates_total", float64(l.Duplicates), l.View, l.Layout)
		e.gauge("tailwater_lake_failed", truth(l.Error != ""), l.View, l.Layout)
	}
	e.gauge("tailwater_stream_bytes", float64(s.Stream.Bytes))
	e.gauge("tailwater_stream_paused", truth(s.Stream.Paused))
	e.gauge("tailwater_stream_held_partitions", float64(len(s.Stream.Held)))
}

// emitter sends metrics by name.
type emitter struct {
	c  *collector
	ch chan<- prometheus.Metric
}

func (e emitter) gauge(name string, v float64, labels ...string) {
	e.ch <- prometheus.MustNewConstMetric(e.c.descs[name], prometheus.GaugeValue, v, labels...)
}

func (e emitter) counter(name string, v float64, labels ...string) {
	e.ch <- prometheus.MustNewConstMetric(e.c.descs[name], prometheus.CounterValue, v, labels...)
}

// time sends nothing for a time that never was: 0 would read as 1970.
func (e emitter) time(name string, t time.Time, labels ...string) {
	if !t.IsZero() {
		e.gauge(name, float64(t.UnixMicro())/1e6, labels...)
	}
}

func (e emitter) shard(s *Shard) {
	l := []string{s.Source, s.Shard}
	e.gauge("tailwater_source_owned", truth(s.State.Owned()), l...)
	for _, st := range ShardStates {
		e.gauge("tailwater_source_state", truth(s.State == st), s.Source, s.Shard, string(st))
	}
	e.gauge("tailwater_source_connected", truth(s.Connected), l...)
	e.time("tailwater_source_last_event_timestamp_seconds", s.LastEvent, l...)
	e.time("tailwater_source_heartbeat_timestamp_seconds", s.LastHeard, l...)
	if s.State.Owned() {
		e.gauge("tailwater_source_lag_seconds", s.LagSeconds, l...)
	}
	if !s.ClockMeasured.IsZero() {
		e.gauge("tailwater_source_clock_offset_seconds", s.ClockOffset, l...)
	}
	e.counter("tailwater_source_reconnects_total", float64(s.Reconnects), l...)
	e.counter("tailwater_source_rows_total", float64(s.Rows), l...)
	e.counter("tailwater_source_table_changes_total", float64(s.Tables), l...)
	e.counter("tailwater_source_shadow_rows_total", float64(s.Shadows), l...)
	e.counter("tailwater_source_accepted_total", float64(s.Accepted), l...)
	e.counter("tailwater_source_invalid_text_total", float64(s.InvalidText), l...)
	e.counter("tailwater_source_transactions_total", float64(s.Transactions), l...)
	e.counter("tailwater_source_bytes_total", float64(s.Bytes), l...)
	e.counter("tailwater_source_events_total", float64(s.Events), s.Source, s.Shard, "published")
	e.counter("tailwater_source_events_total", float64(s.Filtered), s.Source, s.Shard, "filtered")
	e.counter("tailwater_source_events_total", float64(s.Skipped), s.Source, s.Shard, "skipped")
	e.time("tailwater_checkpoint_timestamp_seconds", s.LastSaved, l...)
	if h := s.Headroom; h != nil {
		e.gauge("tailwater_source_binlog_behind_bytes", float64(h.Behind), l...)
		if h.Retention > 0 {
			e.gauge("tailwater_source_binlog_headroom_seconds", h.Left, l...)
		}
	}
	var passed uint64
	for i := range s.Resets {
		passed += s.Resets[i].Transactions
	}
	e.counter("tailwater_source_passed_transactions_total", float64(passed), l...)
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
