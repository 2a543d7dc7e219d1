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

// Every frame is read by the client library's own codec, and what that writes
// is read here: a log written with blocks of 4 MiB stays readable.
func TestPack_IsReadByOthersAndReadsWhatTheyWrote(t *testing.T) {
	other, err := kgo.DefaultCompressor(kgo.Lz4Compression())
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{0, 1, 1 << 10, 64 << 10, 64<<10 + 1, 256 << 10, 300 << 10, 1 << 20, 1<<20 + 1, 9 << 20} {
		src := payload(n)
		var dst bytes.Buffer
		if err := pack(&dst, src); err != nil {
			t.Fatal(err)
		}
		got, err := unpack(dst.Bytes(), kgo.CodecLz4)
		if err != nil || !bytes.Equal(got, src) {
			t.Errorf("%d bytes: unpack = %d bytes, %v", n, len(got), err)
		}
		got, err = kgo.DefaultDecompressor().Decompress(dst.Bytes(), kgo.CodecLz4)
		if err != nil || !bytes.Equal(got, src) {
			t.Errorf("%d bytes: the client library reads %d bytes, %v", n, len(got), err)
		}
		var theirs bytes.Buffer
		packed, codec := other.Compress(&theirs, src)
		got, err = unpack(packed, codec)
		if err != nil || !bytes.Equal(got, src) {
			t.Errorf("%d bytes of the client library: unpack = %d bytes, %v", n, len(got), err)
		}
	}
}

func TestPack_BlocksAreAsSmallAsTheBatch(t *testing.T) {
	// The byte behind the magic number and the flags is the block size's code.
	for n, code := range map[int]byte{2000: 4, 64 << 10: 4, 100 << 10: 5, 1 << 20: 6, 2 << 20: 7} {
		var dst bytes.Buffer
		if err := pack(&dst, payload(n)); err != nil {
			t.Fatal(err)
		}
		if got := dst.Bytes()[5] >> 4; got != code {
			t.Errorf("%d bytes: block size code %d, want %d", n, got, code)
		}
	}
}

func TestUnpack_DamageIsAnError(t *testing.T) {
	src := payload(100 << 10)
	var dst bytes.Buffer
	if err := pack(&dst, src); err != nil {
		t.Fatal(err)
	}
	whole := dst.Bytes()
	for name, b := range map[string][]byte{
		"nothing": nil, "no frame": []byte("this is no lz4 frame at all"), "cut off": whole[:len(whole)/2], "no end": whole[:len(whole)-4],
	} {
		if got, err := unpack(b, kgo.CodecLz4); err == nil && bytes.Equal(got, src) {
			t.Errorf("%s: unpacked whole", name)
		} else if err != nil && !errors.Is(err, errBatch) {
			t.Errorf("%s: %v is no errBatch", name, err)
		}
	}
	if _, err := unpack(whole, kgo.CodecZstd); !errors.Is(err, errBatch) {
		t.Errorf("another codec: %v, want errBatch", err)
	}
	if got, err := unpack(whole, kgo.CodecLz4); err != nil || !bytes.Equal(got, src) {
		t.Errorf("after damage: %d bytes, %v", len(got), err)
	}
}

func BenchmarkUnpack(b *testing.B) {
	var dst bytes.Buffer
	src := payload(4 << 10)
	if err := pack(&dst, src); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(src)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := unpack(dst.Bytes(), kgo.CodecLz4); err != nil {
			b.Fatal(err)
		}
	}
}
