package embedded

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

// payload is n bytes, half of which repeat.
func payload(n int) []byte {
	r := rand.New(rand.NewPCG(uint64(n), 1))
	b := make([]byte, n)
	for i := range b {
		if b[i] = 'x'; i/64%2 == 0 {
			b[i] = byte(r.Uint32())
		}
	}
	return b
}

// Every batch is read by the client library's own codec, and what that writes
// is read here, whichever codec it took.
func TestPack_IsReadByOthersAndReadsWhatTheyWrote(t *testing.T) {
	codecs := []kgo.CompressionCodec{kgo.SnappyCompression(), kgo.Lz4Compression(), kgo.ZstdCompression(), kgo.GzipCompression()}
	for _, n := range []int{0, 1, 1 << 10, 64<<10 + 1, 300 << 10, 9 << 20} {
		src := payload(n)
		packed := pack(nil, src)
		got, err := unpack(packed, kgo.CodecSnappy)
		if err != nil || !bytes.Equal(got, src) {
			t.Errorf("%d bytes: unpack = %d bytes, %v", n, len(got), err)
		}
		got, err = kgo.DefaultDecompressor().Decompress(packed, kgo.CodecSnappy)
		if err != nil || !bytes.Equal(got, src) {
			t.Errorf("%d bytes: the client library reads %d bytes, %v", n, len(got), err)
		}
		for _, codec := range codecs {
			other, err := kgo.DefaultCompressor(codec)
			if err != nil {
				t.Fatal(err)
			}
			var theirs bytes.Buffer
			packed, kind := other.Compress(&theirs, src)
			got, err = unpack(packed, kind)
			if err != nil || !bytes.Equal(got, src) {
				t.Errorf("%d bytes of the client library's codec %d: unpack = %d bytes, %v", n, kind, len(got), err)
			}
		}
	}
}

func TestUnpack_DamageIsAnError(t *testing.T) {
	src := payload(100 << 10)
	whole := pack(nil, src)
	for name, b := range map[string][]byte{
		"nothing": nil, "no block": []byte("this is no snappy block at all"), "cut off": whole[:len(whole)/2], "no end": whole[:len(whole)-4],
		"a length without end": bytes.Repeat([]byte{0xff}, 20), "4 GiB": {0xff, 0xff, 0xff, 0xff, 0x0f, 0},
	} {
		if _, err := unpack(b, kgo.CodecSnappy); !errors.Is(err, errBatch) {
			t.Errorf("%s: %v is no errBatch", name, err)
		}
	}
	if _, err := unpack(whole, kgo.CodecZstd); !errors.Is(err, errBatch) {
		t.Errorf("another codec: %v, want errBatch", err)
	}
}

func BenchmarkUnpack(b *testing.B) {
	src := payload(4 << 10)
	packed := pack(nil, src)
	b.SetBytes(int64(len(src)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := unpack(packed, kgo.CodecSnappy); err != nil {
			b.Fatal(err)
		}
	}
}
