package pipeline

import (
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"tailwater/internal/status"
)

// Snapshot describes the whole process now. It asks no server.
func (p *Pipeline) Snapshot() status.Snapshot {
	now := time.Now()
	s := status.Snapshot{
		Name: p.cfg.Name, Version: p.o.Version, PID: os.Getpid(), Started: p.started.UTC(), Time: now.UTC(),
		Process: process(), Stream: p.streamStatus(),
	}
	s.Process.StreamLag, s.Process.DeliveryLag = p.streamLag.Quantiles(), p.deliveryLag.Quantiles()
	for _, sh := range p.allShards() {
		s.Shards = append(s.Shards, sh.snapshot(now))
	}
	for _, t := range p.targets {
		s.Views = append(s.Views, status.View{
			View: t.view, Topic: t.topic, Partitions: t.partitions, Events: t.events.Load(), Bytes: t.bytes.Load(),
		})
	}
	for _, c := range p.captures {
		s.Captures = append(s.Captures, c.status(&s))
	}
	for _, v := range p.windows {
		s.Metrics = append(s.Metrics, v.snapshot()...)
	}
	for _, w := range p.lakes {
		st := w.Status()
		l := status.Lake{View: st.View, Layout: st.Layout, Rows: st.Rows, Files: st.Files, Bytes: st.Bytes, Duplicates: st.Duplicates, LastCommit: st.LastCommit}
		if st.Err != nil {
			l.Error = st.Err.Error()
		}
		s.Lake = append(s.Lake, l)
	}
	s.Verdict = verdict(&s)
	return s
}

// verdict is the worst state of any part.
func verdict(s *status.Snapshot) status.Verdict {
	v := status.OK
	for i := range s.Shards {
		switch s.Shards[i].State {
		case status.Stopped:
			return status.Failed
		case status.Connecting, status.Stalled, status.Paused, status.Waiting:
			v = status.Degraded
		}
		if h := s.Shards[i].Headroom; s.Shards[i].ClockOff || h != nil && h.Low {
			v = status.Degraded
		}
	}
	for i := range s.Captures {
		if s.Captures[i].Stopped > 0 {
			v = status.Degraded
		}
	}
	for i := range s.Metrics {
		if s.Metrics[i].Error != "" {
			v = status.Degraded
		}
	}
	for i := range s.Lake {
		if s.Lake[i].Error != "" {
			v = status.Degraded
		}
	}
	if s.Stream.Error != "" || s.Stream.Paused || len(s.Stream.Held) > 0 {
		v = status.Degraded
	}
	return v
}

func (p *Pipeline) streamStatus() status.Stream {
	s := status.Stream{Type: p.cfg.Stream.Type, Address: p.StreamAddr(), Held: p.heldNow()}
	if p.embedded == nil {
		return s
	}
	s.Limit, s.Paused = p.diskLimit.Load(), p.gate.closed()
	u, err := p.embedded.Usage()
	if err != nil {
		s.Error = err.Error()
	}
	s.Bytes = u.Bytes
	if s.Paused {
		s.Error = p.gate.why()
	}
	return s
}

// process reads what the kernel says of this process. What it does not say
// stays 0.
func process() status.Process {
	out := status.Process{Goroutines: runtime.NumGoroutine()}
	b, err := os.ReadFile("/proc/self/status")
	if err == nil {
		out.RSSBytes, out.RSSPeakBytes = procBytes(string(b), "VmRSS:"), procBytes(string(b), "VmHWM:")
	}
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) == nil {
		out.CPUSeconds = float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
	}
	return out
}

// procBytes returns a line of /proc/self/status that counts kilobytes.
func procBytes(text, name string) int64 {
	_, rest, ok := strings.Cut(text, name)
	if !ok {
		return 0
	}
	fields := strings.Fields(rest)
	if len(fields) == 0 {
		return 0
	}
	n, err := strconv.ParseInt(fields[0], 10, 64)
	if err != nil {
		return 0
	}
	return n << 10
}
