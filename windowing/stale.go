package windowing

import (
	"fmt"

	"tailwater/stream"
	"tailwater/stream/codec"
)

// Stale says up to when the rows that a metric of rows: latest counts may be
// gone, for a table lost or got rows without events: they were never taken back.
// A window that begins at or before Micros, or later by no more than rows are
// dated ahead, may hold such rows. The zero value says that there are none.
//
// It is a pure function of the log: that of two parts of it is the greater of
// theirs, whatever their order.
type Stale struct {
	// Micros is the latest moment, in microseconds since the Unix epoch, at which
	// a row was written that may be gone.
	Micros int64
	// By is what happened then, in words.
	By string
}

// Max returns the greater of two.
func (s Stale) Max(o Stale) Stale {
	if o.Micros > s.Micros || o.Micros == s.Micros && o.By > s.By {
		return o
	}
	return s
}

// ofTable folds the event of a change of a table as a whole. It is nothing to
// metrics of events, which have happened. DDL and rows may follow two clocks, so
// that the watermark, which is that of the rows before, counts as well.
func (f *Fold) ofTable(p *partition, r *stream.Record, micros int64) error {
	if f.m.Rows != Latest {
		return nil
	}
	names := []string{"_ddl", "_db", "_table", "_gtid"}
	var raw [4][]byte
	if err := codec.NewPicker(names).Pick(r.Value, raw[:]); err != nil {
		return err
	}
	var text [4]string
	for i := range raw {
		if len(raw[i]) < 2 || raw[i][0] != '"' {
			text[i] = "*" // every table of the database
			continue
		}
		b, err := codec.AppendUnquote(nil, raw[i])
		if err != nil {
			return fmt.Errorf("member %s: %w", names[i], err)
		}
		text[i] = string(b)
	}
	by := fmt.Sprintf("%s of %s.%s on shard %s in transaction %s", text[0], text[1], text[2], r.Shard, text[3])
	f.stale = f.stale.Max(Stale{Micros: max(micros, p.marks[r.Shard].Watermark), By: by})
	return nil
}
