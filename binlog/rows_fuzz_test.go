package binlog

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tailwater/change"
)

// eachRecorded calls fn with the table map and every event of all recordings.
func eachRecorded(t testing.TB, fn func(tableMap []byte, maria bool, ev rowsEvent)) {
	t.Helper()
	for _, file := range []string{"mysql.txt", "mariadb.txt"} {
		all, err := os.ReadFile(filepath.Join("testdata", "rows", file))
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range strings.Split(string(all), "\n") {
			if rest, ok := strings.CutPrefix(line, "table "); ok {
				m, events := recorded(t, file, strings.Fields(rest)[0])
				for _, ev := range events {
					fn(m.body, flavorOf(file) == MariaDB, ev)
				}
			}
		}
	}
}

func flavorIf(maria bool) Flavor {
	if maria {
		return MariaDB
	}
	return MySQL
}

// FuzzTableMap holds that a table map is refused or parses to a table whose
// parts agree with each other.
func FuzzTableMap(f *testing.F) {
	eachRecorded(f, func(tableMap []byte, maria bool, ev rowsEvent) {
		if ev.kind == rowsWriteV1 || ev.kind == rowsWriteV2 {
			f.Add(tableMap, maria)
		}
	})
	for _, body := range brokenTableMaps() {
		f.Add(body, false)
	}
	eachRecordedBody(f, func(flavor Flavor, ev event) {
		if ev.kind == evTableMap {
			f.Add(ev.body, flavor == MariaDB)
		}
	})
	m, _ := recorded(f, "mariadb.txt", "enum_")
	for n := range m.body {
		f.Add(m.body[:n], true)
	}
	plain := mapBody([]mapColumn{{wire: wireTiny}, {wire: wireVarchar, meta: []byte{9, 0}}}, tlv(metaSignedness, 0), tlv(metaDefaultCharset, 45), names("a", "DB_ROW_HASH_1"), tlv(metaPrimaryKeyPrefix, 1, 5))
	f.Add(plain, true)
	f.Add(bytes.Replace(plain, []byte("shop\x00"), []byte("shop\x01"), 1), true)
	f.Add(append(mapBody([]mapColumn{{wire: wireTiny}}, tlv(metaSignedness, 0), names("a")), 0xfd, 0xfe, 1, 0, 0, 0, 0, 0, 0, 0), false)
	f.Fuzz(func(t *testing.T, body []byte, maria bool) {
		_, _, _, nameErr := tableMapName(body)
		shape, shapeErr := parseTableShape(body)
		m, err := parseTableMap(body, flavorIf(maria))
		if nameErr != nil && shapeErr == nil || shapeErr != nil && err == nil {
			t.Fatalf("name %v, shape %v, map %v: what holds the more is less", nameErr, shapeErr, err)
		}
		if err != nil {
			return
		}
		if !m.same(body) || len(m.all) != len(shape.all) || len(m.Table().Columns) > len(m.all) {
			t.Fatalf("%d columns of %d, shape %d", len(m.Table().Columns), len(m.all), len(shape.all))
		}
		seen := make([]bool, len(m.all))
		for i, s := range m.all {
			if seen[s.slot] || s.size != shape.all[i].size || s.prefix != shape.all[i].prefix {
				t.Fatalf("column %d shares a slot or has another size than its shape", i)
			}
			seen[s.slot] = true
		}
		for _, i := range m.Table().PrimaryKey {
			if i >= len(m.Table().Columns) {
				t.Fatalf("the key has column %d of %d", i, len(m.Table().Columns))
			}
		}
		for _, c := range m.Table().Columns {
			if c.Type == "" {
				t.Fatalf("column %q has no type", c.Name)
			}
		}
	})
}

// sameDocument holds that the text of a column as a JSON string is what text
// says, or fails where it does.
func sameDocument(t testing.TB, row change.Row, col int, text []byte, textErr error) {
	t.Helper()
	quoted, err := row.(change.DocumentRow).AppendDocument([]byte("x"), col)
	if (err == nil) != (textErr == nil) {
		t.Fatalf("column %d as a string: %v, as text: %v", col, err, textErr)
	}
	if want := quotedText(string(text)); err == nil && string(quoted) != "x"+want {
		t.Fatalf("column %d as a string: got %.300s, want x%.300s", col, quoted, want)
	}
}

// FuzzRows holds that a rows event is refused, or that all its cells are
// refused by name or valid JSON, and that counting finds as many rows.
func FuzzRows(f *testing.F) {
	eachRecorded(f, func(tableMap []byte, maria bool, ev rowsEvent) { f.Add(tableMap, maria, ev.kind, ev.body) })
	f.Add(jsonTable(f, 3).body, false, byte(rowsPartial), partialEvent(f))
	last := map[Flavor][]byte{}
	eachRecordedBody(f, func(flavor Flavor, ev event) {
		switch ev.kind {
		case evTableMap:
			last[flavor] = bytes.Clone(ev.body)
		case evWriteV1, evUpdateV1, evDeleteV1, evWriteV2, evUpdateV2, evDeleteV2, evPartialUpdate:
			f.Add(last[flavor], flavor == MariaDB, byte(ev.kind), ev.body)
		}
	})
	m, events := recorded(f, "mysql.txt", "varchar_")
	for n := range min(len(events[1].body), 120) {
		f.Add(m.body, false, events[1].kind, events[1].body[:n])
	}
	partial := partialEvent(f)
	for n := range partial {
		f.Add(jsonTable(f, 3).body, false, byte(rowsPartial), partial[:n])
	}
	for _, set := range rawCharsets {
		f.Add(rawMap(f, set), false, byte(rowsWriteV2), writeBody(4, []byte("\x00\x04ab\xff\xfe\x03A\xaeB\x02\x03"), []byte("\x00\x01a\x01A\x01\x01")))
	}
	three := threeColumns(f)
	for _, body := range []string{"\x08", "\x07", "\x07\x00\x00\x00\x00\x00\x01\x00\x04\x07", "\x07\x00\x00\x00\x00\x00\x01\x00\x03\x00", "\x07\x00\x00\x00\x00\x00\x01\x00\x03\x07",
		"\x08\x00\x00\x00\x00\x00\x01\x00\x03\x07\x00", "\x07\x00\x00\x00\x00\x00\x01\x00\x01\x00\x03\x07\x00"} {
		for _, kind := range []byte{rowsWriteV1, rowsUpdateV1, rowsDeleteV2, rowsPartial, 1} {
			f.Add(three.body, false, kind, []byte(body))
		}
	}
	f.Fuzz(func(t *testing.T, tableMap []byte, maria bool, kind byte, body []byte) {
		m, err := parseTableMap(tableMap, flavorIf(maria))
		if err != nil {
			return
		}
		if _, _, err := rowsTableID(kind, body); err == nil && len(body) < tableMapHeader {
			t.Fatal("an event without a header has a table id")
		}
		if _, err := m.images[0].AppendDocument(nil, len(m.columns)); err == nil {
			t.Fatal("a column that is not there is a document")
		}
		rows := 0
		var text []byte
		check := func(row change.Row) {
			if row == nil {
				return
			}
			for i := range m.Table().Columns {
				out, err := row.AppendJSON(text[:0], i)
				if err == nil && row.State(i) == change.Absent || err == nil && !json.Valid(out) {
					t.Fatalf("column %d, state %d: %q", i, row.State(i), out)
				}
				if errors.Is(err, change.ErrInvalidText) {
					raw, err := row.(change.RawRow).AppendRaw(nil, i)
					if _, notBase64 := base64.StdEncoding.DecodeString(strings.Trim(string(raw), `"`)); err != nil || notBase64 != nil {
						t.Fatalf("the bytes of column %d: %.300q, %v", i, raw, err)
					}
				}
				text = out
				sameDocument(t, row, i, out, err)
			}
		}
		err = m.rows(kind, body, func(op change.Op, before, after change.Row) error {
			rows++
			if (before == nil) != (op == change.Create) || (after == nil) != (op == change.Delete) {
				t.Fatalf("%s has before %v, after %v", op, before != nil, after != nil)
			}
			check(before)
			check(after)
			return nil
		})
		n, countErr := m.count(kind, body)
		if (err == nil) != (countErr == nil) || err == nil && n != rows {
			t.Fatalf("%d rows, %v; counted %d, %v", rows, err, n, countErr)
		}
	})
}
