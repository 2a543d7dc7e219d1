package embedded

import (
	"bytes"
	"fmt"
	"io"
	"sync"

	"github.com/pierrec/lz4/v4"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Batches are LZ4 frames (github.com/lz4/lz4, doc/lz4_Frame_format.md) whose
// blocks have the size that the batch needs. The client library's codec always
// writes blocks of 4 MiB, and whoever unpacks one has to hold a buffer of that
// size, be the batch a kilobyte.

// maxUnpacked bounds what a batch may unpack to: more than the largest publish.
const maxUnpacked = 1 << 30

var errUnpacked = fmt.Errorf("%w: unpacks to more than 1 GiB", errBatch)

// blockSizes are those of the format, the smallest first.
var blockSizes = [...]lz4.BlockSize{lz4.Block64Kb, lz4.Block256Kb, lz4.Block1Mb, lz4.Block4Mb}

// packers are idle writers by index in blockSizes.
var packers [len(blockSizes)]sync.Pool

// unpackers are idle readers.
var unpackers = sync.Pool{New: func() any { return lz4.NewReader(nil) }}

// pack appends src to dst as one frame.
func pack(dst *bytes.Buffer, src []byte) error {
	size := 0
	for size+1 < len(blockSizes) && len(src) > int(blockSizes[size]) {
		size++
	}
	w, _ := packers[size].Get().(*lz4.Writer)
	if w == nil {
		w = lz4.NewWriter(nil)
		if err := w.Apply(lz4.BlockSizeOption(blockSizes[size]), lz4.ChecksumOption(false)); err != nil {
			return fmt.Errorf("set up lz4: %w", err)
		}
	}
	w.Reset(dst)
	if _, err := w.Write(src); err != nil {
		return fmt.Errorf("pack batch: %w", err)
	}
	if err := w.Close(); err != nil {
		return fmt.Errorf("pack batch: %w", err)
	}
	packers[size].Put(w)
	return nil
}

// unpack returns the records of a batch. They alias src if it is not packed,
// else they belong to the caller.
func unpack(src []byte, codec kgo.CompressionCodecType) ([]byte, error) {
	switch codec {
	case kgo.CodecNone:
		return src, nil
	case kgo.CodecLz4:
	default:
		return nil, fmt.Errorf("%w: codec %d", errBatch, codec)
	}
	r := unpackers.Get().(*lz4.Reader)
	r.Reset(bytes.NewReader(src))
	out := bytes.NewBuffer(make([]byte, 0, 4*len(src)))
	n, err := out.ReadFrom(io.LimitReader(r, maxUnpacked+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %w", errBatch, err)
	case n > maxUnpacked:
		return nil, errUnpacked
	}
	unpackers.Put(r) // only one that has met nothing unexpected
	return out.Bytes(), nil
}
