package binlog

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"strings"
	"testing"
	"time"
)

func mustDomains(t testing.TB, s string) *DomainPosition {
	t.Helper()
	p, err := ParseDomainPosition(s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestDomainPosition_TextForm(t *testing.T) {
	for in, want := range map[string]string{
		"":      "",
		"0-1-7": "0-1-7",
		" 3-1-2 ,0-101-9,1-4294967295-18446744073709551615": "0-101-9,1-4294967295-18446744073709551615,3-1-2",
	} {
		if got := mustDomains(t, in).String(); got != want {
			t.Errorf("%q reads as %q, want %q", in, got, want)
		}
	}
	for _, bad := range []string{"1", "1-2", "0-1-0", "0-1-2-3", "-1-1-1", "0-1-x", "4294967296-1-1", "0-1-7,0-2-8", uuidA + ":1-7"} {
		if p, err := ParseDomainPosition(bad); err == nil {
			t.Errorf("%q reads as %v, want an error", bad, p)
		}
	}
}

func TestDomainPosition_TheLastOneCounts(t *testing.T) {
	p := mustDomains(t, "0-1-7")
	p.Set(DomainGTID{0, 2, 3})
	p.Set(DomainGTID{5, 1, 1})
	if got := p.String(); got != "0-2-3,5-1-1" {
		t.Errorf("position is %s, want 0-2-3,5-1-1", got)
	}
	at := Position{Domains: p}
	for id, want := range map[string]bool{"0-2-3": true, "0-2-2": true, "0-2-4": false, "0-1-7": false, "9-1-1": false} {
		g, err := ParseDomainGTID(id)
		if err != nil {
			t.Fatal(err)
		}
		if got := at.seen(txID{domain: g}); got != want {
			t.Errorf("%s counts as read: %v, want %v", id, got, want)
		}
	}
}

func TestDomainState_Holds(t *testing.T) {
	s, err := ParseDomainState("0-1-7,0-2-9,1-1-3")
	if err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string]bool{"0-1-7": true, "0-1-8": false, "0-2-9": true, "1-2-1": false, "2-1-1": false} {
		g, _ := ParseDomainGTID(id)
		if got := s.Holds(g); got != want {
			t.Errorf("the state holds %s: %v, want %v", id, got, want)
		}
	}
}

// gtidListBody is the body of a GTID_LIST event.
func gtidListBody(list ...DomainGTID) []byte {
	b := binary.LittleEndian.AppendUint32(nil, uint32(len(list))|1<<28)
	for _, g := range list {
		b = binary.LittleEndian.AppendUint32(b, g.Domain)
		b = binary.LittleEndian.AppendUint32(b, g.Server)
		b = binary.LittleEndian.AppendUint64(b, g.Sequence)
	}
	return b
}

// mariaMachine is a machine that stands at a place in MariaDB's history.
func mariaMachine(domains *DomainPosition) (testMachine, *journal) {
	o := Options{Flavor: MariaDB}
	o.fill()
	j := newJournal()
	return testMachine{newMachine(o, false, &Position{Flavor: MariaDB, ServerUUID: "101", Domains: domains}, j)}, j
}

func mariaGTIDBody(sequence uint64, domain uint32, flags byte) []byte {
	b := binary.LittleEndian.AppendUint64(nil, sequence)
	b = binary.LittleEndian.AppendUint32(b, domain)
	return append(b, flags, 0, 0, 0, 0, 0, 0)
}

func mariaEvent(kind eventType, server uint32, body []byte) event {
	return event{header: header{kind: kind, serverID: server, size: uint32(headerSize + len(body)), next: 0}, body: body}
}

func TestMachine_MariaDBListProvesTheHistory(t *testing.T) {
	for _, c := range []struct {
		name, at string
		list     []DomainGTID
		want     string
	}{
		{"AsRead", "0-1-7,1-1-2", []DomainGTID{{0, 2, 5}, {0, 1, 7}, {1, 1, 2}}, ""},
		{"ReadFurther", "0-1-7", []DomainGTID{{0, 1, 3}}, ""},
		{"DomainDeleted", "0-1-7,1-1-2", []DomainGTID{{0, 1, 7}}, ""},
		{"Hole", "0-1-7", []DomainGTID{{0, 1, 8}}, "behind transaction 0-1-8, which was not read: of domain 0 it was read to 0-1-7"},
		{"DomainNotRead", "0-1-7", []DomainGTID{{0, 1, 7}, {4, 1, 1}}, "behind transaction 4-1-1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, _ := mariaMachine(mustDomains(t, c.at))
			err := m.event(mariaEvent(evGTIDList, 1, gtidListBody(c.list...)), time.Time{})
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}

func TestMachine_MariaDBSequences(t *testing.T) {
	for _, c := range []struct {
		name   string
		events []event
		want   string
	}{
		{"AgainIsAStop", []event{mariaEvent(evMariaGTID, 1, mariaGTIDBody(7, 0, 0))}, "transaction 0-1-7 came again"},
		{"OutcomeThatNobodyAnnounces", []event{mariaEvent(evMariaGTID, 1, mariaGTIDBody(8, 0, mariaStandalone)), mariaEvent(evQuery, 1, queryOf("", 0, "XA COMMIT X'61',X'',1"))}, "does not announce one"},
		{"XAInAGroup", []event{mariaEvent(evMariaGTID, 1, mariaGTIDBody(8, 0, 0)), mariaEvent(evXAPrepare, 1, make([]byte, 13))}, "XA_PREPARE without XA START"},
		{"CutXIDIsAStop", []event{mariaEvent(evMariaGTID, 1, append(mariaGTIDBody(8, 0, mariaPreparedXA)[:13], 1, 0, 0, 0, 9, 0, 'a'))}, "GTID cannot be read"},
		{"InsideIsAStop", []event{mariaEvent(evMariaGTID, 1, mariaGTIDBody(8, 0, 0)), mariaEvent(evMariaGTID, 1, mariaGTIDBody(9, 0, 0))}, "out of sequence"},
		{"FragmentsAreAStop", []event{mariaEvent(evMariaGTID, 1, mariaGTIDBody(8, 0, 0)), mariaEvent(172, 1, nil)}, "type 172 is not understood"},
		{"ShortIsAStop", []event{mariaEvent(evMariaGTID, 1, []byte{1, 2, 3})}, "GTID cannot be read"},
		{"ListInsideIsAStop", []event{mariaEvent(evMariaGTID, 1, mariaGTIDBody(8, 0, 0)), mariaEvent(evGTIDList, 1, gtidListBody())}, "out of sequence"},
		{"GroupEndsWithXID", []event{mariaEvent(evMariaGTID, 2, mariaGTIDBody(1, 0, 0)), mariaEvent(evXID, 2, make([]byte, 8))}, ""},
		{"KeyAndStatementsArePassedOver", []event{mariaEvent(evStartEncryption, 1, make([]byte, 17)), mariaEvent(evMariaGTID, 2, mariaGTIDBody(1, 0, 0)),
			mariaEvent(evAnnotateRows, 2, []byte("x")), mariaEvent(evXID, 2, make([]byte, 8)), mariaEvent(evBinlogCheckpoint, 1, nil)}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, j := mariaMachine(mustDomains(t, "0-1-7"))
			var err error
			for _, ev := range c.events {
				if err = m.event(ev, time.Time{}); err != nil {
					break
				}
			}
			if (err == nil) != (c.want == "") || err != nil && (!strings.Contains(err.Error(), c.want) || Classify(err) != Stop) {
				t.Fatalf("error %v, want %q", err, c.want)
			}
			if p, perr := ParsePosition(j.position); err == nil && (perr != nil || p.Domains.String() != "0-2-1") {
				t.Errorf("position %s (%v), want 0-2-1", j.position, perr)
			}
		})
	}
}

// A server of the other flavour behind the same address is found out by its
// first transaction.
func TestMachine_MySQLDoesNotKnowMariaDB(t *testing.T) {
	m, _ := newTestMachine(t)
	err := m.event(mariaEvent(evMariaGTID, 1, mariaGTIDBody(8, 0, 0)), time.Time{})
	if err == nil || !strings.Contains(err.Error(), "not understood") {
		t.Errorf("error %v, want a stop", err)
	}
}

// zipped is head and the compressed form of text.
func zipped(head, text []byte) []byte {
	var b bytes.Buffer
	b.Write(head)
	b.Write([]byte{0x80 | 4})
	b.Write(binary.BigEndian.AppendUint32(nil, uint32(len(text))))
	w := zlib.NewWriter(&b)
	w.Write(text)
	w.Close()
	return b.Bytes()
}

func TestUnzip_WholeOrNotAtAll(t *testing.T) {
	head := append(make([]byte, 8), 9, 0xff, 1) // table 0, nine columns
	text := bytes.Repeat([]byte("row"), 1000)
	whole := zipped(head, text)
	var z unzipper
	got, err := z.uncompress(whole, evWriteV1, 1<<20)
	if err != nil || !bytes.Equal(got, append(bytes.Clone(head), text...)) {
		t.Fatalf("uncompressed to %d bytes, %v, want %d", len(got), err, len(head)+len(text))
	}
	if _, err := z.uncompress(whole, evWriteV1, 1000); err == nil || !strings.Contains(err.Error(), "bound of 1000 bytes") {
		t.Errorf("above the bound: %v", err)
	}
	for n := range whole {
		if _, err := z.uncompress(whole[:n], evWriteV1, 1<<20); err == nil {
			t.Fatalf("the first %d of %d bytes pass for the whole", n, len(whole))
		}
	}
	for i := len(head); i < len(whole); i++ {
		bad := bytes.Clone(whole)
		bad[i] ^= 0x55
		if got, err := z.uncompress(bad, evWriteV1, 1<<20); err == nil {
			t.Errorf("with byte %d turned it reads as %d bytes", i, len(got))
		}
	}
	if _, err := z.uncompress(whole, evWriteV1, 1<<20); err != nil {
		t.Errorf("behind damaged ones: %v", err)
	}
	if _, err := z.uncompress(zipped(head[:4], text), evWriteV1, 1<<20); !errors.Is(err, errTruncated) && !errors.Is(err, errZip) {
		t.Errorf("a short head: %v", err)
	}
}

func FuzzUnzip(f *testing.F) {
	f.Add(zipped(append(make([]byte, 8), 9, 0xff, 1), []byte("text")), byte(evWriteV1))
	f.Add(zipped(make([]byte, 14), []byte("BEGIN")), byte(evQuery))
	f.Fuzz(func(t *testing.T, b []byte, kind byte) {
		var z unzipper
		if out, err := z.uncompress(b, eventType(kind), 1<<16); err == nil && len(out) > 1<<16 {
			t.Errorf("%d bytes are above the bound", len(out))
		}
	})
}

func TestHeartbeat_MariaDBAbove4GiB(t *testing.T) {
	body := append(binary.LittleEndian.AppendUint64(nil, 5<<32), "binlog.000009"...)
	hb, err := parseHeartbeat(mariaEvent(evHeartbeat, 1, body))
	if err != nil || hb.pos != 5<<32 || hb.file != "binlog.000009" {
		t.Errorf("heartbeat is %+v, %v, want binlog.000009:%d", hb, err, uint64(5)<<32)
	}
}
