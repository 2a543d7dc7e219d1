package kafka

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"

	"tailwater/change"
	"tailwater/stream"
	"tailwater/stream/internal/position"
)

// The record of a position is read by every later version.
func TestPosition_KeepsItsBytes(t *testing.T) {
	p := &position.Position{
		Epoch: 7, Saved: true, Source: []byte("src"), LSN: change.LSN{Epoch: 7, Txn: 9, Row: 1},
		Topics: map[string]position.Topic{"tw.n.v": {Incarnation: "i", Epoch: 7, Partitions: []position.Partition{
			{Next: 300, Known: true, Mark: stream.Mark{LSN: change.LSN{Epoch: 7, Txn: 9}, N: 4, Watermark: 5}}, {Next: 1},
		}}},
		Skip: []stream.Published{{Topic: "tw.n.v", TxID: "g:1", Row: 2, Part: 3, KeyHash: 4}},
	}
	const want = "01000000070200000007000000000009000000010000" + "03737263" + "01" + "0674772e6e2e76" + "0169" + "07" + "02" +
		"ac0201" + "00000007000000000009000000000000" + "04" + "0a" + "0100" + "02" + "0674772e6e2e76" + "03673a31" + "01" + "0001" + "02" + "03" + "0000000000000004"
	if got := hex.EncodeToString(encodePosition(p)); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	b, err := hex.DecodeString(want)
	if err != nil {
		t.Fatal(err)
	}
	back, err := decodePosition(b)
	if err != nil || !bytes.Equal(encodePosition(back), b) {
		t.Errorf("decode = %+v, %v", back, err)
	}
	b[0] = 2
	if _, err := decodePosition(b); err == nil || !strings.Contains(err.Error(), "newer Tailwater") {
		t.Errorf("another version: %v, want it refused", err)
	}
	for n := range len(b) {
		if _, err := decodePosition(append([]byte{1}, b[1:max(1, n)]...)); err == nil {
			t.Errorf("the first %d bytes decode", n)
		}
	}
}
