// Package status is what Tailwater says about itself: the Snapshot that every
// door shows alike (the status verb, GET /api/v1/status, /metrics), and the
// HTTP server behind http.listen.
//
// The package holds no state of the pipeline: whoever has it implements Source.
package status

import "time"

// Source gives snapshots. Snapshot must be safe for concurrent use and must
// not block on any server.
type Source interface {
	Snapshot() Snapshot
}

// Snapshot is the state of the whole process at one instant. Its JSON is the
// body of GET /api/v1/status.
type Snapshot struct {
	Name    string    `json:"name"`
	Version string    `json:"version"`
	PID     int       `json:"pid"`
	Started time.Time `json:"started"`
	Time    time.Time `json:"time"`
	// Verdict is the worst state of any part: ok, degraded or failed.
	Verdict Verdict `json:"verdict"`
	Shards  []Shard `json:"shards"`
	Views   []View  `json:"views"`
	// Captures are those of the sources that capture their tables.
	Captures []Capture `json:"captures,omitempty"`
	Metrics  []Metric  `json:"metrics"`
	Lake     []Lake    `json:"lake"`
	Stream   Stream    `json:"stream"`
	Process  Process   `json:"process"`
}

// Verdict sums a snapshot up in one word.
type Verdict string

// The verdicts. Degraded means that something lags, waits or retries by
// itself; failed means that a person must act.
const (
	OK       Verdict = "ok"
	Degraded Verdict = "degraded"
	Failed   Verdict = "failed"
)

// ShardState is what a shard is doing.
type ShardState string

// The states of a shard.
const (
	// Connecting: no connection yet, or between two tries.
	Connecting ShardState = "connecting"
	// Streaming: connected and following.
	Streaming ShardState = "streaming"
	// Stalled: connected, but neither events nor heartbeats come, or the stream
	// does not answer a publish.
	Stalled ShardState = "stalled"
	// Paused: held back because the stream's disk bound is reached.
	Paused ShardState = "paused"
	// Stopped: an error that a person must mend; tried again once a minute.
	Stopped ShardState = "stopped"
	// Ended: the process is stopping and the shard is drained.
	Ended ShardState = "ended"
	// Elsewhere: another process follows the shard, or is about to.
	Elsewhere ShardState = "elsewhere"
	// Waiting: the processes that share the shards have not said yet whose it is.
	Waiting ShardState = "waiting"
)

// ShardStates are all states of a shard.
var ShardStates = []ShardState{Connecting, Streaming, Stalled, Paused, Stopped, Ended, Elsewhere, Waiting}

// Owned reports whether a shard in this state is this process's.
func (s ShardState) Owned() bool { return s != Elsewhere && s != Waiting }

// Shard is one shard's state.
type Shard struct {
	Source string     `json:"source"`
	Shard  string     `json:"shard"`
	State  ShardState `json:"state"`
	// Owner is which process follows a shard that is elsewhere, host:pid, if that
	// is known.
	Owner string `json:"owner,omitempty"`
	// Error is why the shard is not streaming; Hint is the way out.
	Error string `json:"error,omitempty"`
	// Since is when State began.
	Since     time.Time `json:"since"`
	Connected bool      `json:"connected"`
	Address   string    `json:"address"`
	Server    string    `json:"server,omitempty"`
	UUID      string    `json:"server_uuid,omitempty"`
	File      string    `json:"file,omitempty"`
	Pos       uint64    `json:"pos,omitempty"`
	GTID      string    `json:"gtid,omitempty"`
	Epoch     uint32    `json:"epoch"`
	// LastEvent is the commit time of the newest transaction read.
	LastEvent time.Time `json:"last_event,omitzero"`
	// LastHeard is when the server last sent anything.
	LastHeard time.Time `json:"last_heard,omitzero"`
	// LastSaved is when a position was last stored.
	LastSaved time.Time `json:"last_saved,omitzero"`
	// LagSeconds is the age of the oldest transaction that was read and is not
	// published. When none waits it is 0 if the server is quiet, else the age
	// that the newest one had when it was read.
	LagSeconds float64 `json:"lag_seconds"`
	// ClockOffset is how many seconds the server's clock is ahead of this
	// machine's; ClockMeasured is when that was measured, and ClockOff whether it
	// is more than a second for certain.
	ClockOffset   float64   `json:"clock_offset_seconds"`
	ClockMeasured time.Time `json:"clock_measured,omitzero"`
	ClockOff      bool      `json:"clock_off,omitempty"`
	Transactions  uint64    `json:"transactions"`
	Rows          uint64    `json:"rows"`
	Events        uint64    `json:"events"`
	Filtered      uint64    `json:"filtered"`
	// Tables counts changes of whole tables, which rows left or came to without
	// row events; Shadows the row changes of tables that online schema changes
	// fill, which are in no view.
	Tables  uint64 `json:"table_changes"`
	Shadows uint64 `json:"shadow_rows"`
	// Accepted counts what would have stopped the shard, and was passed over
	// because a person has accepted its transaction.
	Accepted uint64 `json:"accepted"`
	// InvalidText counts the values of events that are bytes in place of a text:
	// they are not valid in the character set of their column.
	InvalidText uint64 `json:"invalid_text"`
	// Skipped counts events that already stood in the log.
	Skipped    uint64 `json:"skipped"`
	Bytes      uint64 `json:"bytes"`
	Reconnects uint64 `json:"reconnects"`
	// Headroom is nil until the server has been asked.
	Headroom *Headroom `json:"headroom,omitempty"`
	// Resets are the moves of the position by a person, the oldest first.
	Resets []Reset `json:"resets,omitempty"`
}

// View is one view's topic.
type View struct {
	View       string `json:"view"`
	Topic      string `json:"topic"`
	Partitions int    `json:"partitions"`
	Events     uint64 `json:"events"`
	Bytes      uint64 `json:"bytes"`
	// Captured says that the configuration does not name the view.
	Captured bool `json:"captured,omitempty"`
}

// Capture is what a source captures. The views stand among the others.
type Capture struct {
	Source string `json:"source"`
	// Tables counts captured tables, Stopped those of a shard that cannot be
	// published, Skipped their rows since the process started.
	Tables  int    `json:"tables"`
	Stopped int    `json:"stopped"`
	Skipped uint64 `json:"skipped_rows"`
	// Notices are the tables of which a person must know something.
	Notices []TableNotice `json:"notices,omitempty"`
}

// TableNotice is what befell a captured table of a shard.
type TableNotice struct {
	Shard  string `json:"shard"`
	Schema string `json:"schema"`
	// Table is empty when the whole schema is meant.
	Table string `json:"table"`
	// State is stopped: its rows are counted and not published; or noted: nobody
	// can say what a statement did to it, and it goes on.
	State string `json:"state"`
	// Since is the transaction from which on that is so.
	Since   string `json:"since"`
	Reason  string `json:"reason"`
	Skipped uint64 `json:"skipped_rows"`
}

// Metric is one metric's windows.
type Metric struct {
	Metric    string    `json:"metric"`
	View      string    `json:"view"`
	Watermark time.Time `json:"watermark,omitzero"`
	Closed    uint64    `json:"windows_closed"`
	Groups    int64     `json:"groups"`
	Late      uint64    `json:"late_rows"`
	// Below counts rows of windows that are no longer kept, Skipped those
	// without a time. Negatives counts groups from which more rows were taken
	// than were ever put in: a reason for an alarm.
	Below     uint64 `json:"below_rows"`
	Skipped   uint64 `json:"skipped_rows"`
	Negatives uint64 `json:"negative_groups"`
	// StaleUntil is the time up to which windows begin that may count rows that
	// are gone, and StaleBy what took them.
	StaleUntil time.Time `json:"stale_until,omitzero"`
	StaleBy    string    `json:"stale_by,omitempty"`
	// Refused counts batches that were folded again because the store stood
	// elsewhere; Flushes those that it took.
	Refused uint64 `json:"refused"`
	Flushes uint64 `json:"flushes"`
	// Behind is how many records of the stream are not merged yet.
	Behind int64  `json:"behind"`
	Error  string `json:"error,omitempty"`
}

// Lake is one (view, layout) of the lake.
type Lake struct {
	View   string `json:"view"`
	Layout string `json:"layout"`
	Rows   uint64 `json:"rows"`
	Files  uint64 `json:"files"`
	Bytes  uint64 `json:"bytes"`
	// Duplicates counts events that stood in the stream before and were not
	// written again.
	Duplicates uint64    `json:"duplicates"`
	LastCommit time.Time `json:"last_commit,omitzero"`
	Error      string    `json:"error,omitempty"`
}

// Stream is the state of the log.
type Stream struct {
	Type    string `json:"type"`
	Address string `json:"address,omitempty"`
	Bytes   int64  `json:"bytes"`
	// Limit is limits.disk, 0 for none.
	Limit  int64  `json:"limit,omitempty"`
	Paused bool   `json:"paused"`
	Error  string `json:"error,omitempty"`
	// Held are the partitions of which nobody sees the newest records: they lie
	// behind a transaction that has been open for two seconds.
	Held []Held `json:"held,omitempty"`
}

// Held is one partition that an open transaction holds up.
type Held struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	// Stable is the offset that no reader passes, End the one behind the last
	// record.
	Stable int64 `json:"stable"`
	End    int64 `json:"end"`
	// Since is when Stable was first seen to stand there.
	Since time.Time `json:"since"`
	// Transaction is the transactional id that is open, Shard whose it is; both
	// are empty where the brokers do not tell.
	Transaction string `json:"transaction,omitempty"`
	Shard       string `json:"shard,omitempty"`
}

// Same reports whether both are of one standstill of one partition.
func (h Held) Same(o Held) bool {
	return h.Topic == o.Topic && h.Partition == o.Partition && h.Stable == o.Stable && h.Since.Equal(o.Since)
}

// Process is the process itself.
type Process struct {
	RSSBytes     int64   `json:"rss_bytes"`
	RSSPeakBytes int64   `json:"rss_peak_bytes"`
	CPUSeconds   float64 `json:"cpu_seconds"`
	Goroutines   int     `json:"goroutines"`
	// StreamLag is commit to durable in the stream, DeliveryLag commit to
	// Redis, of events committed after the start.
	StreamLag   Quantiles `json:"stream_lag_ms"`
	DeliveryLag Quantiles `json:"lag_ms"`
}

// Quantiles of a latency in milliseconds.
type Quantiles struct {
	Count uint64  `json:"count"`
	P50   float64 `json:"p50"`
	P99   float64 `json:"p99"`
	Max   float64 `json:"max"`
}
