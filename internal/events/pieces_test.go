package events

import (
	"fmt"
	"strings"
	"testing"

	"tailwater/binlog"
	"tailwater/binlog/primary"
	"tailwater/binlog/primary/encode"
	"tailwater/internal/envelope"
	"tailwater/internal/view"
)

func TestRun_ATransactionOfManyPiecesIsPrintedWholeAndInOrder(t *testing.T) {
	r := newRig(t, primary.Options{})
	const rows = 1000
	label := strings.Repeat("x", 4000)
	r.commit(func(tx *primary.Tx) error {
		for id := range rows {
			if err := tx.Insert("shop", "things", encode.Row{int64(id), label}); err != nil {
				return err
			}
		}
		return nil
	})
	for _, form := range []envelope.Kind{envelope.Flat, envelope.Maxwell} {
		got := r.run(func(o *Options) { o.Envelope = form })
		if got.err != nil || len(got.lines) != rows {
			t.Fatalf("%s: %d lines and %v, want %d", form, len(got.lines), got.err, rows)
		}
		for i, line := range got.lines {
			if !strings.Contains(line, fmt.Sprintf(`"id":%d,`, i)) || form == envelope.Maxwell && strings.Contains(line, `"commit":true`) != (i == rows-1) {
				t.Fatalf("%s: line %d is %.200s", form, i, line)
			}
		}
	}
}

func TestPrinter_LinesLieInPiecesThatDoNotGrow(t *testing.T) {
	p := &printer{o: &Options{MaxTransaction: 64 << 20}, tx: &binlog.Transaction{ID: "u:1"}}
	total := 0
	for n := range 40 {
		// Every tenth is larger than a piece.
		value := make([]byte, 300_000)
		if n%10 == 9 {
			value = make([]byte, 3*pieceSize)
		}
		if err := p.add(view.Event{Value: value}); err != nil {
			t.Fatal(err)
		}
		total += len(value) + 1
	}
	held := 0
	for _, piece := range p.gathered {
		if held += len(piece); cap(piece) > 3*pieceSize+pieceSize/2 || len(piece) == 0 {
			t.Errorf("a piece has %d bytes of %d", len(piece), cap(piece))
		}
	}
	if held != p.held || held+len(p.buf) != total || len(p.gathered) < total/(4*pieceSize) {
		t.Errorf("%d pieces of %d bytes (counted %d) and %d, want %d in all", len(p.gathered), held, p.held, len(p.buf), total)
	}
}
