package windowing

// Cut returns the deltas since the last Commit. They are valid until the next
// call of Add, Commit or Drop.
func (f *Fold) Cut() *Deltas {
	d := &f.deltas
	d.Steps = d.Steps[:0]
	for i := range f.parts {
		if p := &f.parts[i]; p.started {
			to := Position{Incarnation: p.incarnation, Offset: p.next, Marks: p.marks}
			d.Steps = append(d.Steps, Step{Partition: int32(i), From: p.from, To: to, Watermarks: p.wms})
		}
	}
	d.Counts, d.Stale, d.Ahead = f.counts, f.stale, f.ahead
	for i := range d.Windows {
		d.Windows[i].Groups = d.Windows[i].Groups[:0]
	}
	d.Windows = d.Windows[:0]
	for i := range f.cells {
		c := &f.cells[i]
		w := f.window(c.start)
		g := GroupDelta{Group: f.names[c.group], Cell: c.Cell}
		if c.last != 0 {
			g.Values = f.values.deltas(nil, c.last)
		}
		w.Groups = append(w.Groups, g)
	}
	return d
}

// window returns the deltas of one window, of which there are few.
func (f *Fold) window(start int64) *WindowDelta {
	w := f.deltas.Windows
	for i := range w {
		if w[i].Start == start {
			return &w[i]
		}
	}
	if n := len(w); n < cap(w) {
		w = w[:n+1]
		w[n].Start, w[n].Groups = start, w[n].Groups[:0]
	} else {
		w = append(w, WindowDelta{Start: start})
	}
	f.deltas.Windows = w
	return &w[len(w)-1]
}
