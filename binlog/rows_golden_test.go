package binlog

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tailwater/change"
)

// longestRecord bounds the events that are recorded: a few columns have values
// that are long for their own sake.
const longestRecord = 4096

// record writes the table's events and the images they decode to:
//
//	table <name> <definition>
//	map <hex>
//	event <type> <hex>
//	<op> <before> -> <after>
//
// where an image is its columns' JSON texts between spaces, and - is none.
func (e *rowEvents) record(w io.Writer, c sqlColumn) error {
	for _, ev := range e.events {
		if len(ev.body) > longestRecord {
			return nil
		}
	}
	if _, err := fmt.Fprintf(w, "table %s %s\nmap %x\n", c.name, c.definition, e.tableMap); err != nil {
		return err
	}
	m, err := parseTableMap(e.tableMap, e.flavor)
	if err != nil {
		return err
	}
	for _, ev := range e.events {
		lines, err := imageLines(m, ev)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(w, "event %d %x\n%s", ev.kind, ev.body, lines); err != nil {
			return err
		}
	}
	return nil
}

// imageLines renders every row of an event on a line of its own.
func imageLines(m *tableMap, ev rowsEvent) (string, error) {
	var out strings.Builder
	err := m.rows(ev.kind, ev.body, func(op change.Op, before, after change.Row) error {
		out.WriteString(op.String())
		for i, row := range []change.Row{before, after} {
			if i == 1 {
				out.WriteString(" ->")
			}
			if row == nil {
				out.WriteString(" -")
				continue
			}
			for col := range m.Table().Columns {
				text, err := row.AppendJSON([]byte{' '}, col)
				if err != nil {
					return err
				}
				out.Write(text)
			}
		}
		out.WriteByte('\n')
		return nil
	})
	return out.String(), err
}

func TestRows_DecodeWhatRealServersLogged(t *testing.T) {
	for _, name := range []string{"mysql.txt", "mariadb.txt"} {
		file, err := os.ReadFile(filepath.Join("testdata", "rows", name))
		if err != nil {
			t.Fatal(err)
		}
		tables := strings.Split(string(file), "table ")[1:]
		if len(tables) < 60 {
			t.Fatalf("%s has %d tables, want more", name, len(tables))
		}
		for _, table := range tables {
			title, rest, _ := strings.Cut(table, "\n")
			t.Run(name+"/"+strings.Fields(title)[0], func(t *testing.T) { replay(t, rest, flavorOf(name)) })
		}
	}
}

// replay decodes the events of one recorded table.
func replay(t *testing.T, record string, flavor Flavor) {
	t.Helper()
	mapLine, rest, _ := strings.Cut(record, "\n")
	m, err := parseTableMap(unhexed(t, strings.TrimPrefix(mapLine, "map ")), flavor)
	if err != nil {
		t.Fatal(err)
	}
	for _, event := range strings.Split(rest, "event ")[1:] {
		line, want, _ := strings.Cut(event, "\n")
		var ev rowsEvent
		var body string
		if _, err := fmt.Sscanf(line, "%d %s", &ev.kind, &body); err != nil {
			t.Fatal(err)
		}
		ev.body = unhexed(t, body)
		got, err := imageLines(m, ev)
		if err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Errorf("event %d:\ngot\n%s\nwant\n%s", ev.kind, got, want)
		}
		truncations(t, m, ev)
	}
}

// truncations decodes every prefix of an event: each must be an error or end
// between two rows, and none a panic.
func truncations(t *testing.T, m *tableMap, ev rowsEvent) {
	t.Helper()
	whole, err := m.count(ev.kind, ev.body)
	if err != nil {
		t.Fatal(err)
	}
	for n := range len(ev.body) {
		rows, err := m.count(ev.kind, ev.body[:n])
		if err == nil && rows >= whole {
			t.Errorf("the first %d of %d bytes have %d rows, want fewer than %d", n, len(ev.body), rows, whole)
		}
	}
}

func unhexed(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(string(bytes.TrimSpace([]byte(s))))
	if err != nil {
		t.Fatal(err)
	}
	return b
}
