package events

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"tailwater/binlog/primary"
	"tailwater/binlog/primary/encode"
	"tailwater/internal/envelope"
)

// changes commits an insert, a change of the row with one of its key, and a
// deletion. It returns the GTIDs.
func (r *rig) changes() (insert, update, remove string) {
	insert = r.insert("things", 1)
	update = r.commit(func(tx *primary.Tx) error {
		return errors.Join(
			tx.Update("shop", "things", []any{int64(1)}, encode.Row{int64(1), "y"}),
			tx.Update("shop", "things", []any{int64(1)}, encode.Row{int64(2), nil}))
	})
	remove = r.commit(func(tx *primary.Tx) error { return tx.Delete("shop", "things", []any{int64(2)}) })
	return insert, update, remove
}

// like compares a line with one in which # stands for any number.
func like(line, want string) bool {
	for part := range strings.SplitSeq(want, "#") {
		rest, ok := strings.CutPrefix(line, part)
		if !ok {
			return false
		}
		line = strings.TrimLeft(rest, "0123456789")
	}
	return line == ""
}

func TestRun_LinesInTheFormsOfOtherSystems(t *testing.T) {
	r := newRig(t, primary.Options{ServerID: 4711})
	insert, update, remove := r.changes()
	number := func(gtid string) string { return gtid[strings.LastIndexByte(gtid, ':')+1:] }
	debezium := func(images, gtid string, row int, op string) string {
		return fmt.Sprintf(`{%s,"source":{"version":"tailwater","connector":"mysql","name":"a","ts_ms":#,"snapshot":"false","db":"shop","sequence":null,"ts_us":#,"ts_ns":#,"table":"things","server_id":4711,"gtid":%q,"file":"binlog.#","pos":#,"row":%d,"thread":null,"query":null},"transaction":null,"op":%q,"ts_ms":#,"ts_us":#,"ts_ns":#}`,
			images, gtid, row, op)
	}
	maxwell := func(kind, gtid, rest string) string {
		return fmt.Sprintf(`{"database":"shop","table":"things","type":%q,"ts":#,"xid":%s%s}`, kind, number(gtid), rest)
	}
	canal := func(kind, gtid, data, old string) string {
		return fmt.Sprintf(`{"data":[%s],"database":"shop","es":#,"gtid":%q,"id":%s,"isDdl":false,"mysqlType":{"id":"bigint","label":"varchar(4000)"},"old":%s,"pkNames":["id"],"sql":"","sqlType":{"id":-5,"label":12},"table":"things","ts":#,"type":%q}`,
			data, gtid, number(gtid), old, kind)
	}
	for kind, want := range map[envelope.Kind][]string{
		envelope.Debezium: {
			debezium(`"before":null,"after":{"id":1,"label":"x"}`, insert, 0, "c"),
			debezium(`"before":{"id":1,"label":"x"},"after":{"id":1,"label":"y"}`, update, 0, "u"),
			debezium(`"before":{"id":1,"label":"y"},"after":null`, update, 1, "d"),
			debezium(`"before":null,"after":{"id":2,"label":null}`, update, 1, "c"),
			debezium(`"before":{"id":2,"label":null},"after":null`, remove, 0, "d"),
		},
		envelope.Maxwell: {
			maxwell("insert", insert, `,"commit":true,"data":{"id":1,"label":"x"}`),
			maxwell("update", update, `,"data":{"id":1,"label":"y"},"old":{"label":"x"}`),
			maxwell("delete", update, `,"data":{"id":1,"label":"y"}`),
			maxwell("insert", update, `,"commit":true,"data":{"id":2,"label":null}`),
			maxwell("delete", remove, `,"commit":true,"data":{"id":2,"label":null}`),
		},
		envelope.Canal: {
			canal("INSERT", insert, `{"id":"1","label":"x"}`, "null"),
			canal("UPDATE", update, `{"id":"1","label":"y"}`, `[{"label":"x"}]`),
			canal("DELETE", update, `{"id":"1","label":"y"}`, "null"),
			canal("INSERT", update, `{"id":"2","label":null}`, "null"),
			canal("DELETE", remove, `{"id":"2","label":null}`, "null"),
		},
	} {
		got := r.run(func(o *Options) { o.Envelope = kind })
		if got.err != nil || len(got.lines) != len(want) {
			t.Fatalf("%s: got %q and %v, want %d lines", kind, got.lines, got.err, len(want))
		}
		for i := range want {
			if !like(got.lines[i], want[i]) {
				t.Errorf("%s, line %d:\n got %s\nwant %s", kind, i+1, got.lines[i], want[i])
			}
		}
	}
}

func TestRun_ATransactionThatIsCutHasNoLastEvent(t *testing.T) {
	r := newRig(t, primary.Options{})
	r.insert("things", 1, 2, 3)
	got := r.run(func(o *Options) { o.Envelope, o.Limit = envelope.Maxwell, 2 })
	if got.err != nil || len(got.lines) != 2 || strings.Contains(got.lines[1], "commit") {
		t.Errorf("cut behind two rows of three: got %q and %v, want two lines without commit", got.lines, got.err)
	}
	got = r.run(func(o *Options) { o.Envelope = envelope.Maxwell })
	if got.err != nil || len(got.lines) != 3 || strings.Contains(got.lines[1], "commit") || !strings.Contains(got.lines[2], `"commit":true,"data":{"id":3,`) {
		t.Errorf("whole: got %q and %v, want commit in the last of three", got.lines, got.err)
	}
}

func TestRun_AnEnvelopeThatThereIsNot(t *testing.T) {
	r := newRig(t, primary.Options{})
	got := r.run(func(o *Options) { o.Envelope = "avro" })
	var usage *UsageError
	if !errors.As(got.err, &usage) || !strings.Contains(got.err.Error(), `"avro" is none of flat, debezium, maxwell, canal`) {
		t.Errorf("got %v, want a mistake that names the envelopes", got.err)
	}
}

func TestRun_AnotherFormHasANoteOfATableThatIsEmptied(t *testing.T) {
	r := newRig(t, primary.Options{})
	r.insert("things", 1)
	if err := r.server.TruncateTable("shop", "things"); err != nil {
		t.Fatal(err)
	}
	var notes []string
	got := r.run(func(o *Options) {
		o.Envelope = envelope.Debezium
		o.Note = func(text string) { notes = append(notes, text) }
	})
	if got.err != nil || len(got.lines) != 1 {
		t.Errorf("got %q and %v, want the line of the row only", got.lines, got.err)
	}
	if text := strings.Join(notes, "\n"); !strings.Contains(text, "table shop.things: truncate in transaction "+uuid+":4, which debezium has no event of") {
		t.Errorf("notes: %s", text)
	}
}
