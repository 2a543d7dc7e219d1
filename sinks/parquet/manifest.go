package parquet

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"tailwater/change"
	"tailwater/internal/objstore"
	"tailwater/stream"
)

// formatVersion is the version of every object below _tailwater/. A reader
// refuses a newer one by name.
const formatVersion = 1

// maxMetadata bounds a manifest, a schema version and a .done when read.
const maxMetadata = 64 << 20

// Manifest is the law for one batch of one partition: the files that stand for
// the events of the offsets [First, Last) are built from it alone.
type Manifest struct {
	Version     int    `json:"version"`
	View        string `json:"view"`
	Topic       string `json:"topic"`
	Incarnation string `json:"incarnation"`
	Partition   int32  `json:"partition"`
	First       int64  `json:"first"`
	Last        int64  `json:"last"`
	// Before and After are the marks of each shard at First and at Last.
	Before map[string]ManifestMark `json:"marks_before"`
	After  map[string]ManifestMark `json:"marks_after"`
	Layout Layout                  `json:"layout"`
	// SchemaVersion is the number of the view's schema version, Columns what it says.
	SchemaVersion int       `json:"schema_version"`
	Columns       []Column  `json:"columns"`
	Codec         Codec     `json:"codec"`
	Files         []FileRef `json:"files"`
	Rows          int64     `json:"rows"`
}

// ManifestMark is a stream.Mark as a manifest holds it.
type ManifestMark struct {
	LSN       change.LSN `json:"lsn"`
	N         uint64     `json:"n"`
	Watermark int64      `json:"watermark_us,omitempty"`
}

// Codec are the settings that the bytes of a file depend on.
type Codec struct {
	Compression string `json:"compression"`
	Level       string `json:"level,omitempty"`
}

// FileRef names one file of a batch: its key in the store, the hive directory
// whose rows it holds, and how many.
type FileRef struct {
	Key  string `json:"key"`
	Dir  string `json:"dir"`
	Rows int64  `json:"rows"`
}

// Done says that every file of a manifest is written.
type Done struct {
	Version int        `json:"version"`
	Files   []DoneFile `json:"files"`
}

// DoneFile describes one written file.
type DoneFile struct {
	Key    string     `json:"key"`
	Bytes  int64      `json:"bytes"`
	Rows   int64      `json:"rows"`
	SHA256 string     `json:"sha256"`
	MinLSN change.LSN `json:"min_lsn"`
	MaxLSN change.LSN `json:"max_lsn"`
}

// lowMark is the durable start of a chain whose older manifests are deleted.
type lowMark struct {
	Version int                     `json:"version"`
	Offset  int64                   `json:"offset"`
	Marks   map[string]ManifestMark `json:"marks"`
}

func toManifestMarks(m stream.Marks) map[string]ManifestMark {
	out := make(map[string]ManifestMark, len(m))
	for s, k := range m {
		out[s] = ManifestMark{LSN: k.LSN, N: k.N, Watermark: k.Watermark}
	}
	return out
}

func fromManifestMarks(m map[string]ManifestMark) stream.Marks {
	out := make(stream.Marks, len(m))
	for s, k := range m {
		out[s] = stream.Mark{LSN: k.LSN, N: k.N, Watermark: k.Watermark}
	}
	return out
}

// putJSON writes v under key if nothing is there. It returns
// objstore.ErrExists when something is.
func putJSON(ctx context.Context, s objstore.Store, key string, v any) error {
	b, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		return fmt.Errorf("encode %s: %w", key, err)
	}
	return putNew(ctx, s, key, b)
}

// putNew writes body under key if nothing is there, and tries again while
// another writer is at the key, at longer and longer intervals.
func putNew(ctx context.Context, s objstore.Store, key string, body []byte) error {
	for wait := 5 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		err := s.PutNew(ctx, key, bytes.NewReader(body), int64(len(body)))
		if !errors.Is(err, objstore.ErrConflict) {
			return err
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return fmt.Errorf("put %s: %w", key, errors.Join(context.Cause(ctx), err))
		}
	}
}

// getJSON reads the object under key into v, strictly: an unknown member or a
// newer version is an error that names the key.
func getJSON(ctx context.Context, s objstore.Store, key string, v any) error {
	r, _, err := s.Get(ctx, key)
	if err != nil {
		return err
	}
	defer r.Close()
	b, err := io.ReadAll(io.LimitReader(r, maxMetadata+1))
	if err != nil {
		return fmt.Errorf("read %s: %w", key, err)
	}
	if len(b) > maxMetadata {
		return fmt.Errorf("read %s: larger than %d MiB, not an object of this lake", key, maxMetadata>>20)
	}
	var head struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(b, &head); err != nil {
		return fmt.Errorf("read %s: not valid JSON: %w", key, err)
	}
	if head.Version != formatVersion {
		return fmt.Errorf("read %s: format version %d, this program knows %d: use the Tailwater that wrote it, or a newer one", key, head.Version, formatVersion)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return fmt.Errorf("read %s: %w", key, err)
	}
	return nil
}

// chainPrefix is where the manifests of one chain live.
func chainPrefix(view, layout, incarnation string, partition int32) string {
	return fmt.Sprintf("_tailwater/%s/%s/%s/%05d/", view, layout, incarnation, partition)
}

func manifestKey(prefix string, first int64) string {
	return fmt.Sprintf("%s%020d.json", prefix, first)
}

func doneKey(prefix string, first int64) string { return fmt.Sprintf("%s%020d.done", prefix, first) }

func lowKey(prefix string) string { return prefix + "low" }

// parseManifestKey reads the first offset out of a key, and whether the key is
// a manifest or its .done.
func parseManifestKey(prefix, key string) (first int64, done, ok bool) {
	name := strings.TrimPrefix(key, prefix)
	num, ext, found := strings.Cut(name, ".")
	if !found || len(num) != 20 || (ext != "json" && ext != "done") {
		return 0, false, false
	}
	for _, c := range num {
		if c < '0' || c > '9' {
			return 0, false, false
		}
		first = first*10 + int64(c-'0')
	}
	return first, ext == "done", true
}

// fileKey is the name of a batch's file in a directory.
func fileKey(m *Manifest, dir string) string {
	table := m.View
	if m.Layout.Name != DefaultLayout {
		table += "__" + m.Layout.Name
	}
	name := fmt.Sprintf("%s-p%05d-%020d-%020d.parquet", short(m.Incarnation), m.Partition, m.First, m.Last)
	if dir == "" {
		return table + "/" + name
	}
	return table + "/" + dir + "/" + name
}

func short(id string) string {
	if len(id) > 12 {
		return id[:12]
	}
	return id
}
