package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"tailwater/internal/status"
)

func newStatusCommand() *cobra.Command {
	var out outputFlag
	var addr, failOn string
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show what a running Tailwater is doing",
		Long: `Show what a running Tailwater is doing.

Exit codes: 0 it answered, 2 wrong flags, 3 it cannot be reached or is not
Tailwater, 4 with --fail-on when the verdict is that bad or worse.`,
		Args: cobra.NoArgs,
	}
	cmd.Flags().StringVar(&addr, "url", "http://127.0.0.1:8080", "address of its http.listen")
	cmd.Flags().StringVar(&failOn, "fail-on", "", "exit 4 at this verdict or a worse one: degraded or failed")
	cmd.Flags().DurationVar(&timeout, "timeout", 5*time.Second, "how long to wait for the answer")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if failOn != "" && failOn != string(status.Degraded) && failOn != string(status.Failed) {
			return failWith(exitUsage, fmt.Errorf("--fail-on %q: use degraded or failed", failOn))
		}
		if timeout <= 0 {
			return failWith(exitUsage, fmt.Errorf("--timeout %s: must be above zero", timeout))
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
		defer cancel()
		s, err := fetchStatus(ctx, addr)
		if err != nil && out.json() {
			e := envelope{Command: "status", Summary: "no status", Error: &fault{Code: "unreachable", Suggestion: statusHint}}
			return failWithEnvelope(cmd.OutOrStdout(), e, exitEnvironment, err)
		}
		if err != nil {
			return failWith(exitEnvironment, fmt.Errorf("%w\n%s", err, statusHint))
		}
		if err := showStatus(cmd.OutOrStdout(), s, out.json()); err != nil {
			return err
		}
		if failOn != "" && (s.Verdict == status.Failed || string(s.Verdict) == failOn) {
			return failShown(exitFound, errors.New("verdict is "+string(s.Verdict)))
		}
		return nil
	}
	out.register(cmd)
	return cmd
}

// statusHint is the way out when nothing, or something else, answers.
const statusHint = "is tailwater running, and is this its http.listen? name another address with --url"

// maxStatusBytes bounds an answer; what is larger is not from Tailwater.
const maxStatusBytes = 64 << 20

// fetchStatus asks a running process for its snapshot. An address without a
// scheme is taken as http.
func fetchStatus(ctx context.Context, addr string) (*status.Snapshot, error) {
	if !strings.Contains(addr, "://") {
		addr = "http://" + addr
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(addr, "/")+"/api/v1/status", nil)
	if err != nil {
		return nil, fmt.Errorf("ask for the status: %w", err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err // what it wraps it in is the address once more
		}
		return nil, fmt.Errorf("no answer from %s: %w", addr, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers %s", addr, resp.Status)
	}
	var s status.Snapshot
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxStatusBytes)).Decode(&s); err != nil {
		return nil, fmt.Errorf("%s does not answer as Tailwater does: %w", addr, err)
	}
	switch s.Verdict {
	case status.OK, status.Degraded, status.Failed:
		return &s, nil
	}
	return nil, fmt.Errorf("%s does not answer as Tailwater does: its answer has no verdict", addr)
}

// showStatus prints a snapshot.
func showStatus(w io.Writer, s *status.Snapshot, asJSON bool) error {
	summary := fmt.Sprintf("%s: %s", s.Name, s.Verdict)
	if asJSON {
		return writeEnvelope(w, envelope{Command: "status", OK: s.Verdict == status.OK, Summary: summary, Result: s})
	}
	fmt.Fprintf(w, "%s %s, version %s, pid %d, up %s\n", verdictGlyph(s.Verdict), summary, s.Version, s.PID, s.Time.Sub(s.Started).Round(time.Second))
	fmt.Fprintf(w, "lag: %.0f ms to the stream, %.0f ms to Redis (p99); memory %d MiB\n\n",
		s.Process.StreamLag.P99, s.Process.DeliveryLag.P99, s.Process.RSSBytes>>20)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "SHARD\tSTATE\tLAG\tROWS\tEVENTS\tPOSITION\tSAVED\tKEPT FOR")
	for i := range s.Shards {
		sh := &s.Shards[i]
		fmt.Fprintf(t, "%s/%s\t%s\t%.1fs\t%d\t%d\t%s\t%s\t%s\n", sh.Source, sh.Shard, stateOf(sh), sh.LagSeconds, sh.Rows, sh.Events, place(sh), ago(s.Time, sh.LastSaved), kept(sh.Headroom))
	}
	if len(s.Captures) > 0 {
		fmt.Fprintln(t, "\nCAPTURED TABLE\tTOPIC\tPARTITIONS\tEVENTS\t")
	}
	for _, v := range s.Views {
		if v.Captured {
			fmt.Fprintf(t, "%s\t%s\t%d\t%d\t\n", v.View, v.Topic, v.Partitions, v.Events)
		}
	}
	if len(s.Metrics) > 0 {
		fmt.Fprintln(t, "\nMETRIC\tVIEW\tWATERMARK\tCLOSED\tGROUPS\tLATE\t")
	}
	for _, m := range s.Metrics {
		fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%d\t%d\t\n", m.Metric, m.View, clock(m.Watermark), m.Closed, m.Groups, m.Late)
	}
	if len(s.Lake) > 0 {
		fmt.Fprintln(t, "\nLAKE TABLE\tLAYOUT\tROWS\tFILES\tMIB\tLAST COMMIT\t")
	}
	for _, l := range s.Lake {
		fmt.Fprintf(t, "%s\t%s\t%d\t%d\t%.1f\t%s\t\n", l.View, l.Layout, l.Rows, l.Files, float64(l.Bytes)/(1<<20), ago(s.Time, l.LastCommit))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	return showErrors(w, s)
}

// stateOf is a shard's state, and which process has it when that is another one.
func stateOf(s *status.Shard) string {
	switch {
	case s.State != status.Elsewhere:
		return string(s.State)
	case s.Owner == "":
		return "owned elsewhere"
	}
	return "owned elsewhere by " + s.Owner
}

// showErrors prints each error below the tables, where it has room.
func showErrors(w io.Writer, s *status.Snapshot) error {
	var lines []string
	for i := range s.Shards {
		if e := s.Shards[i].Error; e != "" {
			lines = append(lines, fmt.Sprintf("shard %s is %s: %s", s.Shards[i].Shard, s.Shards[i].State, e))
		}
		if s.Shards[i].ClockOff {
			lines = append(lines, fmt.Sprintf("shard %s: the clock of its server is %+.1f s from this machine's, and its rows go into windows by it: set both by NTP", s.Shards[i].Shard, s.Shards[i].ClockOffset))
		}
	}
	for i := range s.Captures {
		for _, m := range s.Captures[i].Notices {
			lines = append(lines, noticeLine(&m))
		}
	}
	for _, m := range s.Metrics {
		if m.Error != "" {
			lines = append(lines, fmt.Sprintf("metric %s: %s", m.Metric, m.Error))
		}
		if m.Negatives > 0 {
			lines = append(lines, fmt.Sprintf("metric %s: %d groups fell below zero rows: rows older than the stream, dated ahead of it, were changed or deleted", m.Metric, m.Negatives))
		}
	}
	for _, m := range s.Metrics {
		if m.StaleBy != "" {
			lines = append(lines, fmt.Sprintf("metric %s: windows that begin up to %s may count rows that are gone, by %s; later ones are right", m.Metric, m.StaleUntil.Format(time.RFC3339), m.StaleBy))
		}
	}
	for _, l := range s.Lake {
		if l.Error != "" {
			lines = append(lines, fmt.Sprintf("lake table %s: %s", l.View, l.Error))
		}
	}
	if s.Stream.Error != "" {
		lines = append(lines, "stream: "+s.Stream.Error)
	}
	for _, h := range s.Stream.Held {
		who := "an open transaction"
		if h.Shard != "" {
			who += " of shard " + h.Shard
		}
		lines = append(lines, fmt.Sprintf("stream: topic %s, partition %d: records from offset %d on wait behind %s", h.Topic, h.Partition, h.Stable, who))
	}
	var noted []string
	for i := range s.Shards {
		noted = append(noted, headroomLines(&s.Shards[i])...)
		noted = append(noted, resetLines(&s.Shards[i])...)
	}
	for i := range lines {
		lines[i] = "✗ " + lines[i]
	}
	if lines = append(lines, noted...); len(lines) == 0 {
		return nil
	}
	_, err := fmt.Fprintf(w, "\n%s\n", strings.Join(lines, "\n"))
	return err
}

// noticeLine says what befell a captured table, and the way out.
func noticeLine(m *status.TableNotice) string {
	table := "table " + m.Schema + "." + m.Table
	if m.Table == "" {
		table = "schema " + m.Schema
	}
	if m.State == "stopped" {
		return fmt.Sprintf("captured %s of shard %s is stopped since transaction %s, %d rows skipped in this process: %s; mend it, then resume it: docs/operations.md", table, m.Shard, m.Since, m.Skipped, m.Reason)
	}
	return fmt.Sprintf("captured %s of shard %s goes on, and differs perhaps since transaction %s: %s", table, m.Shard, m.Since, m.Reason)
}

func verdictGlyph(v status.Verdict) string {
	switch v {
	case status.OK:
		return "✓"
	case status.Degraded:
		return "⚠"
	}
	return "✗"
}

// place is where a shard's reader is in the binlog.
func place(s *status.Shard) string {
	if s.File == "" {
		return "-"
	}
	return fmt.Sprintf("%s:%d", s.File, s.Pos)
}

func ago(now, t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return now.Sub(t).Round(100*time.Millisecond).String() + " ago"
}

func clock(t time.Time) string {
	if t.IsZero() {
		return "unknown"
	}
	return t.UTC().Format("15:04:05Z")
}
