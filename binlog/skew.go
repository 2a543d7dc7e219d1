package binlog

import (
	"context"
	"time"
)

// MaxSkew is how far a server's clock may be from the reader's before that is
// an alarm. Rows are sorted into windows by the clocks of their servers and by no
// other, so that a clock that is off puts its shard's rows into other windows
// than those of the rest, and the least of the watermarks holds all of them up.
const MaxSkew = time.Second

// measureEvery is the time between two looks at a server's clock while the
// server is busy; a quiet one is asked for it more often.
const measureEvery = 30 * time.Second

// Skew is how far a server's clock is from the reader's.
type Skew struct {
	// Offset is what the server's clock is ahead, less than zero when it is
	// behind; it may be wrong by Error, half of the time that the answer took.
	Offset, Error time.Duration
	// At is when it was measured, zero before the first time.
	At time.Time
}

// Alarming reports whether the clock is off by more than MaxSkew for certain.
func (k Skew) Alarming() bool { return k.Offset.Abs()-k.Error > MaxSkew }

// skewOf measures: the server's clock, in microseconds, was read between two
// moments of ours.
func skewOf(asked, answered time.Time, clock int64) Skew {
	half := answered.Sub(asked) / 2
	return Skew{Offset: time.UnixMicro(clock).Sub(asked.Add(half)), Error: half, At: answered}
}

// askClock asks for the server's clock, and notes what it says of the skew.
func (s *session) askClock(ctx context.Context) (int64, error) {
	o := &s.r.o
	if s.ask == nil {
		c, err := o.dial(ctx, o.ConnectTimeout)
		if err != nil {
			return 0, err
		}
		s.ask = c
		if err := c.isServer(ctx, o.Flavor, s.machine.position.ServerUUID); err != nil {
			return 0, err
		}
	}
	asked := o.Now()
	clock, err := s.ask.readClock(ctx)
	if err != nil {
		return 0, err
	}
	k := skewOf(asked, o.Now(), clock)
	s.measured = k.At
	s.r.setSkew(k)
	return clock, nil
}

// measure looks at the clock of a server that is busy. The dump is not read
// meanwhile, for a round trip; a server that does not answer the question is
// asked again later, for the dump is what tells whether it is there.
func (s *session) measure(now time.Time) {
	s.measured = now
	ctx, cancel := context.WithTimeout(s.ctx, questionTimeout)
	defer cancel()
	used := s.ask != nil
	_, err := s.askClock(ctx)
	if err != nil && used {
		// A connection that nobody used for a while may have been ended.
		s.close()
		_, err = s.askClock(ctx)
	}
	if err != nil {
		s.close()
		s.r.o.Logger.Debug("the server's clock cannot be asked for", "shard", s.r.o.Shard, "error", err)
	}
}

// setSkew notes a measurement, and says once that a clock is off, and that it is
// right again.
func (r *Reader) setSkew(k Skew) {
	r.mu.Lock()
	was := r.status.Skew.Alarming()
	r.status.Skew = k
	r.mu.Unlock()
	args := []any{"shard", r.o.Shard, "server_is_ahead_by", k.Offset.Round(time.Millisecond).String()}
	switch is := k.Alarming(); {
	case is && !was:
		r.o.Logger.Warn("the server's clock and this machine's differ: rows go into windows by the server's; set both by NTP", args...)
	case was && !is:
		r.o.Logger.Info("the server's clock and this machine's agree again", args...)
	}
}
