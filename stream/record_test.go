package stream

import (
	"fmt"
	"strings"
	"testing"
)

// The vectors are those of Kafka's own UtilsTest.
func TestPartition_AgreesWithKafka(t *testing.T) {
	tests := []struct {
		key  string
		hash int32
	}{
		{"21", -973932308},
		{"foobar", -790332482},
		{"a-little-bit-long-string", -985981536},
		{"a-little-bit-longer-string", -1486304829},
		{"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971},
		{"abc", 479470107},
	}
	for _, tt := range tests {
		if got := int32(murmur2([]byte(tt.key))); got != tt.hash {
			t.Errorf("murmur2(%q): got %d, want %d", tt.key, got, tt.hash)
		}
		if got, want := Partition([]byte(tt.key), 12), (tt.hash&0x7fffffff)%12; got != want {
			t.Errorf("Partition(%q, 12): got %d, want %d", tt.key, got, want)
		}
	}
}

func TestPartition_SpreadsKeys(t *testing.T) {
	counts := make([]int, 12)
	for i := range 12_000 {
		counts[Partition(fmt.Appendf(nil, `["%02d","%d"]`, i%10, i), 12)]++
	}
	for p, n := range counts {
		if n < 800 || n > 1200 {
			t.Errorf("partition %d got %d of 12,000 keys, want about 1,000", p, n)
		}
	}
}

// The hash is stored in positions: it must never change.
func TestKeyHash_IsXXH64(t *testing.T) {
	if got, want := KeyHash([]byte("abc")), uint64(0x44bc2cf5ad770999); got != want {
		t.Errorf("got %#x, want %#x", got, want)
	}
	if got, want := KeyHash(nil), uint64(0xef46db3751d8e999); got != want {
		t.Errorf("got %#x, want %#x", got, want)
	}
}

func TestErrors_NameThePlaceAndTheWayOut(t *testing.T) {
	tests := []struct {
		err  error
		want string
	}{
		{&RecordTooLargeError{Topic: "tw.x.orders", KeyLen: 9, Size: 20 << 20, Limit: 16 << 20},
			"topic tw.x.orders: a record of 20971520 bytes (key of 9 bytes) exceeds the limit of 16777216: raise stream.max_record, or select fewer columns"},
		{&ForeignRecordError{Topic: "t", Partition: 2, Offset: 41, Reason: "the header tw is missing"},
			"topic t, partition 2, offset 41: not a record of Tailwater: the header tw is missing"},
		{&GapError{Topic: "t", Partition: 2, Offset: 41, Shard: "03", Epoch: 7, Last: 4, Found: 9},
			"stream t/2: records 5 to 8 of shard 03, epoch 7, are missing before offset 41"},
	}
	for _, tt := range tests {
		if got := tt.err.Error(); got != tt.want {
			t.Errorf("got  %s\nwant %s", got, tt.want)
		}
	}
	if got, want := TopicName("shop", "orders"), "tw.shop.orders"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if strings.Contains((&RecordTooLargeError{}).Error(), "%!") {
		t.Error("the format does not fit its arguments")
	}
}

func BenchmarkPartition(b *testing.B) {
	key := []byte(`["03","1234567890"]`)
	b.ReportAllocs()
	for b.Loop() {
		Partition(key, 12)
	}
}

func BenchmarkAccept(b *testing.B) {
	m := Marks{}
	r := event(lsn(1, 0, 1), 0)
	b.ReportAllocs()
	for b.Loop() {
		r.LSN.Txn++
		r.N++
		if ok, err := m.Accept(&r); !ok || err != nil {
			b.Fatal(ok, err)
		}
	}
}
