package parquet

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"tailwater/change"
	"tailwater/stream"
)

// fileOf builds one file of events of a schema, as a batch would.
func fileOf(t *testing.T, s *change.Schema, misfits []string, values ...string) ([]byte, []string) {
	t.Helper()
	m := &Manifest{View: "orders", Columns: withMisfits(merge(metadataColumns, s), misfits), Codec: Codec{Compression: "zstd"}, Files: []FileRef{{Key: "k", Rows: int64(len(values))}}}
	var rows []row
	for i, v := range values {
		rows = append(rows, row{value: []byte(v), schema: s.Fingerprint(), lsn: change.LSN{Epoch: 1, Txn: uint64(i + 1)}})
	}
	w := newFileWriter(m, map[string]*change.Schema{s.Fingerprint(): s}, newCodecs())
	files, err := w.build(rows)
	if err != nil && !errors.Is(err, errMisfit) {
		t.Fatal(err)
	}
	if err != nil {
		return nil, w.misfits
	}
	return files[0].body, nil
}

// texts reads a file's columns back; NULL is "NULL".
func texts(t *testing.T, body []byte, columns ...string) (out []string) {
	t.Helper()
	file, err := openFile(body)
	if err != nil {
		t.Fatal(err)
	}
	err = readRows(file, func(r *FileRow) error {
		for _, c := range columns {
			v, ok := r.Text(c)
			if !ok {
				v = "NULL"
			}
			out = append(out, v)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestFileWriter_KeepsWhatATypeCannotHoldAsText(t *testing.T) {
	for _, c := range []struct {
		column change.Column
		value  string
	}{
		{change.Column{Type: change.Int, Bits: 64}, `9223372036854775808`},
		{change.Column{Type: change.Int, Bits: 64}, `1.5`},
		{change.Column{Type: change.Uint, Bits: 32}, `"x"`},
		{change.Column{Type: change.Uint, Bits: 64}, `100000000000000000000`},
		{change.Column{Type: change.Decimal, Precision: 4, Scale: 2}, `100.00`},
		{change.Column{Type: change.Decimal, Precision: 4, Scale: 2}, `1.001`},
		{change.Column{Type: change.Decimal, Precision: 38, Scale: 2}, `1e3`},
		{change.Column{Type: change.Double}, `1e999`},
		{change.Column{Type: change.Float}, `1e39`},
		{change.Column{Type: change.Bool}, `1`},
		{change.Column{Type: change.Date}, `"0000-00-00"`},
		{change.Column{Type: change.Date}, `"2026-02-29"`},
		{change.Column{Type: change.DateTime}, `"2026-00-10 00:00:00"`},
		{change.Column{Type: change.Timestamp}, `"0000-00-00 00:00:00"`},
		{change.Column{Type: change.Bytes}, `"*"`},
	} {
		c.column.Name = "v"
		s := &change.Schema{View: "orders", Key: []string{"v"}, Columns: []change.Column{c.column}}
		value := `{"_ts_us":1,"v":` + c.value + `}`
		if _, misfits := fileOf(t, s, nil, value); fmt.Sprint(misfits) != "[v]" {
			t.Errorf("%s of %s: misfits %v, want [v]", c.column.Type, c.value, misfits)
		}
		body, _ := fileOf(t, s, []string{"v"}, value)
		want := "[NULL " + strings.Trim(c.value, `"`) + "]"
		if got := fmt.Sprint(texts(t, body, "v", "v__text")); got != want {
			t.Errorf("%s of %s: read %s, want %s", c.column.Type, c.value, got, want)
		}
	}
}

func TestWorker_ViewWithoutSchemaFingerprintKeepsEveryValue(t *testing.T) {
	l := newLake(t, 0)
	changed := change.Schema{View: "orders", Key: []string{"id"}, Columns: []change.Column{
		{Name: "id", Type: change.Int, Bits: 64}, {Name: "city", Type: change.Int, Bits: 32}, {Name: "day", Type: change.Date, Nullable: true},
	}}
	if err := l.log.PutSchema(t.Context(), changed); err != nil {
		t.Fatal(err)
	}
	for i, city := range []string{`"Pune"`, `7`, `null`, `"12"`} {
		r := l.w[0].event(0, day, "")
		r.Value = fmt.Appendf(nil, `{"_op":"c","_shard":"00","_ts_us":%d,"_lsn":"%s","id":%d,"city":%s}`, day, r.LSN, i, city)
		l.log.append(r)
	}
	l.drain(t, l.options())
	for _, r := range l.wantIDs(t, "orders", 4) {
		got := r["city"] + "|" + r["city__2"] + "|" + r["city__text"]
		ok := map[string][]string{"0": {"Pune||", "||Pune"}, "1": {"7||", "|7|"}, "2": {"||"}, "3": {"12||", "|12|"}}[r["id"]]
		found := false
		for _, o := range ok {
			found = found || got == o
		}
		if !found {
			t.Errorf("row %s: city|city__2|city__text = %s, want one of %v", r["id"], got, ok)
		}
	}
}

func TestWorker_HugeValueAndManyColumns(t *testing.T) {
	wide := change.Schema{View: "orders", Key: []string{"id"}, Columns: []change.Column{{Name: "id", Type: change.Int, Bits: 64}, {Name: "blob", Type: change.Text}}}
	for i := range 5000 {
		wide.Columns = append(wide.Columns, change.Column{Name: fmt.Sprintf("c%d", i), Type: change.Int, Bits: 32})
	}
	l := newLake(t, 0)
	if err := l.log.PutSchema(t.Context(), wide); err != nil {
		t.Fatal(err)
	}
	l.w[0].print = wide.Fingerprint()
	huge := strings.Repeat("0123456789abcdef", 4<<20)
	l.log.append(l.w[0].event(0, day, `"id":0,"blob":"`+huge+`"`))
	var b strings.Builder
	b.WriteString(`"id":1,"blob":null`)
	for i := range 5000 {
		fmt.Fprintf(&b, `,"c%d":%d`, i, i)
	}
	l.log.append(l.w[0].event(0, day, b.String()))
	s := l.open(t, l.options(), 2)
	if err := s.cut(t.Context(), &s.parts[0]); err != nil {
		t.Fatal(err)
	}
	for _, body := range l.files() {
		if limit := len(huge) / 8; len(body) > limit {
			t.Errorf("the file has %d bytes, want at most %d: a value stands in it more than once", len(body), limit)
		}
		got := texts(t, []byte(body), "id", "blob", "c0", "c4999")
		if len(got) != 8 || got[1] != huge || fmt.Sprint(got[2:]) != "[NULL NULL 1 NULL 0 4999]" {
			t.Errorf("read %d values, blob of %d bytes, rest %v", len(got), len(got[1]), got[2:])
		}
	}
}

func TestFileWriter_ManyRowGroupsAndSameBytesAgain(t *testing.T) {
	s := benchSchema()
	var rows []row
	for _, r := range benchRecords(rowGroupRows+blockRows+7, s.Fingerprint()) {
		rows = append(rows, row{value: r.Value, lsn: r.LSN, schema: s.Fingerprint(), dir: int(r.LSN.Txn) % 16 / 15})
	}
	m := &Manifest{View: "orders", Columns: merge(metadataColumns, &s), Codec: Codec{Compression: "zstd"}, Files: []FileRef{{Key: "a"}, {Key: "b"}}}
	schemas := map[string]*change.Schema{s.Fingerprint(): &s}
	once, err := newFileWriter(m, schemas, newCodecs()).build(rows)
	if err != nil {
		t.Fatal(err)
	}
	k := newCodecs()
	w := newFileWriter(m, schemas, k)
	again, err := w.build(rows)
	if err == nil {
		again, err = newFileWriter(m, schemas, k).build(rows)
	}
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for i := range once {
		if !bytes.Equal(once[i].body, again[i].body) {
			t.Errorf("file %d differs when it is built again", i)
		}
		ids := texts(t, once[i].body, "id")
		seen += len(ids)
		for j := 1; j < len(ids); j++ {
			if ids[j] <= ids[j-1] {
				t.Fatalf("file %d: row %d has id %s behind %s", i, j, ids[j], ids[j-1])
			}
		}
		if once[i].hi.Less(once[i].lo) || once[i].lo.IsZero() {
			t.Errorf("file %d: bounds %s to %s", i, once[i].lo, once[i].hi)
		}
	}
	if seen != len(rows) {
		t.Errorf("%d rows were read, %d written", seen, len(rows))
	}
	big := make([]row, len(rows))
	copy(big, rows)
	for i := range big {
		big[i].dir = 0
	}
	m.Files = m.Files[:1]
	one, err := newFileWriter(m, schemas, newCodecs()).build(big)
	if err != nil {
		t.Fatal(err)
	}
	if f, err := openFile(one[0].body); err != nil || len(f.RowGroups()) != 2 || f.NumRows() != int64(len(rows)) {
		t.Errorf("a file of %d rows: %v, want 2 row groups", len(rows), err)
	}
}

// TestMicros_AgreesWithTime compares the readers of dates and times with those
// of package time, on right and wrong texts.
func TestMicros_AgreesWithTime(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 9))
	for range 200_000 {
		text := fmt.Sprintf("%04d-%02d-%02d", rng.IntN(10000), rng.IntN(14), rng.IntN(33))
		want, err := time.Parse(time.DateOnly, text)
		if got, ok := days(text); ok != (err == nil) || ok && int64(got) != want.Unix()/86400 {
			t.Fatalf("days(%s) = %d, %v, want %d, %v", text, got, ok, want.Unix()/86400, err)
		}
		text += fmt.Sprintf("%c%02d:%02d:%02d", " T"[rng.IntN(2)], rng.IntN(25), rng.IntN(61), rng.IntN(61))
		layout := "2006-01-02" + text[10:11] + "15:04:05"
		if n := rng.IntN(7); n > 0 {
			text += fmt.Sprintf(".%06d", rng.IntN(1e6))[:n+1]
		}
		want, err = time.Parse(layout, text)
		if rng.IntN(2) == 0 {
			text += "Z"
		}
		if got, ok := micros(text); ok != (err == nil) || ok && got != want.UnixMicro() {
			t.Fatalf("micros(%s) = %d, %v, want %d, %v", text, got, ok, want.UnixMicro(), err)
		}
	}
	for _, text := range []string{"", "2026", "2026-11-20 ", "2026-11-20 10:10", "2026-11-20 10:10:10.", "2026-11-20 10:10:10.1234567", "2026-11-20 10:10:10,5", "2026-11-20x10:10:10", "Z", "2026-11-20 1a:10:10", "-"} {
		if got, ok := micros(text); ok && text != "2026" {
			t.Errorf("micros(%q) = %d, want none", text, got)
		}
	}
}

// TestUnscaled_AgreesWithRationals compares the decimals with math/big.
func TestUnscaled_AgreesWithRationals(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 2))
	for range 100_000 {
		precision := 1 + rng.IntN(maxDecimal)
		scale := rng.IntN(precision + 1)
		text := strings.Repeat("0", rng.IntN(3))
		for range rng.IntN(40) {
			text += fmt.Sprint(rng.IntN(10))
		}
		if n := rng.IntN(len(text) + 1); rng.IntN(2) == 0 {
			text = text[:n] + "." + text[n:]
		}
		text = []string{"", "-"}[rng.IntN(2)] + text
		hi, lo, neg, ok := unscaled(text, precision, scale)
		want, isNumber := new(big.Rat).SetString(text)
		if !isNumber {
			if ok {
				t.Fatalf("unscaled(%q) has a value", text)
			}
			continue
		}
		whole := want.Mul(want, new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(scale)), nil)))
		_, frac, _ := strings.Cut(text, ".")
		fits := (len(frac) <= scale || whole.Sign() == 0) && whole.IsInt() && len(new(big.Int).Abs(whole.Num()).String()) <= max(precision, 1)
		if ok != fits {
			t.Fatalf("unscaled(%s, %d, %d): %v, want %v", text, precision, scale, ok, fits)
		}
		got := new(big.Int).Add(new(big.Int).Lsh(new(big.Int).SetUint64(hi), 64), new(big.Int).SetUint64(lo))
		if neg {
			got.Neg(got)
		}
		if ok && got.Cmp(whole.Num()) != 0 {
			t.Fatalf("unscaled(%s, %d, %d) = %s, want %s", text, precision, scale, got, whole.Num())
		}
	}
}

func TestLayout_DirectoriesOfAnyTextCanBeWritten(t *testing.T) {
	f := newFixture(t)
	w := newWriter("00", f.print)
	l, err := ParseLayout("by_city", []string{"city"})
	if err != nil {
		t.Fatal(err)
	}
	o := f.options()
	o.Layout = l
	long := strings.Repeat("x", 300)
	cities := []string{long, long + "y", strings.Repeat("é", 200), strings.Repeat("=", 100), strings.Repeat("a", 158) + "////////////////////////", ".", "..", "", "a/b", "__HIVE_DEFAULT_PARTITION__", "\x00", "😀", strings.Repeat("😀", 45) + "x"}
	for i, c := range cities {
		f.log.append(w.event(0, day, fmt.Sprintf(`"id":%d,"city":%s`, i, mustJSON(t, c))))
	}
	f.drain(t, o)
	dirs := make(map[string]string)
	for _, r := range f.wantIDs(t, "orders__by_city", len(cities)) {
		dir := strings.Split(r["_file"], "/")[1]
		if len(dir) > len("city=")+maxLevel || !utf8.ValidString(dir) || strings.HasSuffix(dir, "%") {
			t.Errorf("directory %q of %d bytes", dir, len(dir))
		}
		if other, twice := dirs[dir]; twice && other != r["city"] && r["city"] != "" && other != "" {
			t.Errorf("%.20q and %.20q share directory %s", other, r["city"], dir)
		}
		dirs[dir] = r["city"]
	}
}

func doneOf(key string, body []byte, rows int64) DoneFile {
	sum := sha256.Sum256(body)
	return DoneFile{Key: key, Bytes: int64(len(body)), Rows: rows, SHA256: hex.EncodeToString(sum[:])}
}

// FuzzReadFile looks for a file that makes the reader panic or run away.
func FuzzReadFile(f *testing.F) {
	s := everySchema()
	rng := rand.New(rand.NewPCG(1, 1))
	var t testing.T
	body, _ := fileOf(&t, &s, nil, `{"_ts_us":1,`+everyColumns(1)+`}`)
	f.Add(body)
	for range 200 {
		damaged := bytes.Clone(body)
		for range 1 + rng.IntN(4) {
			damaged[rng.IntN(len(damaged))] = byte(rng.IntN(256))
		}
		f.Add(damaged[:len(damaged)-rng.IntN(2)*rng.IntN(len(damaged))])
	}
	f.Add([]byte("PAR1"))
	f.Fuzz(func(t *testing.T, body []byte) {
		store := newMemStore()
		store.objects["k"] = body
		_ = ReadFile(t.Context(), store, doneOf("k", body, 1), func(*FileRow) error { return nil })
	})
}

// FuzzManifest looks for metadata that makes a worker panic or lose its way.
func FuzzManifest(f *testing.F) {
	var t testing.T
	good := mustJSON(&t, Manifest{Version: 1, View: "orders", Topic: topic.Name, Incarnation: topic.Incarnation, Last: 3})
	for _, s := range [][]byte{good, []byte(`{"version":1}`), []byte(`{"version":1,"first":0,"last":3,"files":[{"key":"../x","dir":"a","rows":-1}],"rows":3}`), []byte(`{"version":2}`), []byte(`[]`), []byte(`{"version":1,"extra":1}`), nil} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		log := newMemLog(2)
		log.append(stream.Record{Topic: topic.Name, Kind: stream.Fence, Shard: "00", LSN: change.LSN{Epoch: 1}},
			stream.Record{Topic: topic.Name, Kind: stream.Heartbeat, Shard: "00", LSN: change.LSN{Epoch: 1}}, stream.Record{Topic: topic.Name, Kind: stream.Heartbeat, Shard: "00", LSN: change.LSN{Epoch: 1}})
		store := newMemStore()
		store.objects[manifestKey(prefix0(), 0)] = body
		s := newSession(NewWorker(Options{Log: log, Store: store, View: "orders", Topic: topic}))
		if err := s.open(t.Context()); err == nil && len(store.objects) != 2 {
			t.Errorf("a manifest was obeyed with the result %d objects", len(store.objects))
		}
	})
}
