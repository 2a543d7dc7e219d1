package redis

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"tailwater/change"
	"tailwater/stream"
	"tailwater/windowing"
)

// positionText is "<incarnation> <offset>", and "" for a position that is
// absent from the store.
func positionText(p windowing.Position) string {
	if p.Incarnation == "" {
		return ""
	}
	return p.Incarnation + " " + itoa(p.Offset)
}

func parsePosition(text string) (windowing.Position, error) {
	inc, off, ok := strings.Cut(text, " ")
	n, err := strconv.ParseInt(off, 10, 64)
	if !ok || inc == "" || err != nil || n < 0 {
		return windowing.Position{}, fmt.Errorf("%w: position %q", ErrCorrupt, text)
	}
	return windowing.Position{Incarnation: inc, Offset: n}, nil
}

// marksText is "<shard>=<lsn>,<n>,<watermark>" for each shard, by name,
// separated by spaces.
func marksText(marks stream.Marks) string {
	names := make([]string, 0, len(marks))
	for shard := range marks {
		names = append(names, shard)
	}
	slices.Sort(names)
	var b []byte
	for i, shard := range names {
		if i > 0 {
			b = append(b, ' ')
		}
		m := marks[shard]
		b = append(append(b, shard...), '=')
		b = append(m.LSN.Append(b), ',')
		b = append(strconv.AppendUint(b, m.N, 10), ',')
		b = strconv.AppendInt(b, m.Watermark, 10)
	}
	return string(b)
}

func parseMarks(text string) (stream.Marks, error) {
	marks := stream.Marks{}
	for _, word := range strings.Fields(text) {
		shard, rest, ok := strings.Cut(word, "=")
		parts := strings.Split(rest, ",")
		if !ok || len(parts) != 3 {
			return nil, fmt.Errorf("%w: mark %q", ErrCorrupt, word)
		}
		lsn, err1 := change.ParseLSN(parts[0])
		n, err2 := strconv.ParseUint(parts[1], 10, 64)
		wm, err3 := strconv.ParseInt(parts[2], 10, 64)
		if err1 != nil || err2 != nil || err3 != nil {
			return nil, fmt.Errorf("%w: mark %q", ErrCorrupt, word)
		}
		marks[shard] = stream.Mark{LSN: lsn, N: n, Watermark: wm}
	}
	return marks, nil
}

// boundsText is the lowest and the highest watermark of the expected shards.
func boundsText(w windowing.Watermarks) string {
	high := int64(0)
	for _, x := range w {
		high = max(high, x)
	}
	return itoa(max(0, w.Low())) + " " + itoa(high)
}
