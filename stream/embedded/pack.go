package embedded

import (
	"fmt"

	"github.com/klauspost/compress/s2"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Batches are compressed with snappy, one block without framing
// (github.com/google/snappy, format_description.txt), as Kafka clients read
// it. A block says how long it is unpacked, so whoever reads it makes one
// buffer of the right size. LZ4 frames, which say no length, took longer.

// maxUnpacked bounds what a batch may unpack to: more than the largest publish.
const maxUnpacked = 1 << 30

var errUnpacked = fmt.Errorf("%w: unpacks to more than 1 GiB", errBatch)

// pack returns src as one block, in dst if it is large enough.
func pack(dst, src []byte) []byte {
	return s2.EncodeSnappy(dst[:cap(dst)], src)
}

// unpack returns the records of a batch. They alias src if it is not packed,
// else they belong to the caller. Every codec of the protocol is read.
func unpack(src []byte, codec kgo.CompressionCodecType) ([]byte, error) {
	switch codec {
	case kgo.CodecNone:
		return src, nil
	case kgo.CodecSnappy:
		return unpackSnappy(src)
	}
	out, err := kgo.DefaultDecompressor().Decompress(src, codec)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errBatch, err)
	}
	return out, nil
}

func unpackSnappy(src []byte) ([]byte, error) {
	n, err := s2.DecodedLen(src)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %w", errBatch, err)
	case n > maxUnpacked:
		return nil, errUnpacked
	}
	out, err := s2.Decode(make([]byte, n), src)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errBatch, err)
	}
	return out, nil
}
