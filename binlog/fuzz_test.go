package binlog

import (
	"bytes"
	"strings"
	"testing"
)

func FuzzGTIDSet(f *testing.F) {
	for _, s := range []string{"", uuidA + ":1-5:7", uuidA + ":1:blue:2-3," + uuidB + ":9", uuidA + ":1-9223372036854775806"} {
		f.Add([]byte(s), uuidA+":3-6:8,"+uuidB+":1")
		f.Add(mustSet(f, s).encode(), "")
	}
	for _, s := range []string{"x", uuidA, uuidA + ":", uuidA + ":0", uuidA + ":5-3", uuidA + ":1-2:blue", uuidA + ":Blue_1:7", uuidA + ":1blue:7", uuidA + ":" + strings.Repeat("b", 33) + ":7", uuidA + ":9223372036854775807",
		strings.ReplaceAll(uuidA, "-", "") + ":1", "{" + uuidA + "}:1", uuidA[:35] + "g:1", uuidA + ":1-3:5-7:9," + uuidA + ":2-6", strings.Repeat("long", 50)} {
		f.Add([]byte(s), uuidA+":2:4-5:9-12")
	}
	eachRecordedBody(f, func(_ Flavor, ev event) {
		if ev.kind == evPreviousGTIDs {
			f.Add(ev.body, uuidA+":1")
		}
	})
	f.Fuzz(func(t *testing.T, b []byte, other string) {
		a, errA := ParseGTIDSet(string(b))
		if o, err := ParseGTIDSet(other); errA == nil && err == nil {
			gtidAlgebra(t, a, o)
		}
		if set, err := ParseGTIDSet(string(b)); err == nil {
			if back := mustSet(t, set.String()); !back.Equal(set) {
				t.Errorf("%q reads back as %v", b, back)
			}
			if coded, err := decodeGTIDSet(set.encode()); err != nil || !coded.Equal(set) {
				t.Errorf("%q: its bytes read back as %v, %v", b, coded, err)
			}
			if !set.Minus(set).IsEmpty() || !set.ContainsSet(set) {
				t.Errorf("%q is not itself", b)
			}
		}
		if set, err := decodeGTIDSet(b); err == nil {
			if back := mustSet(t, set.String()); !back.Equal(set) {
				t.Errorf("%x reads back as %v", b, back)
			}
		}
	})
}

// gtidAlgebra holds what must be true of any two sets.
func gtidAlgebra(t *testing.T, a, b *GTIDSet) {
	t.Helper()
	union, rest := a.Clone(), a.Minus(b)
	union.Union(b)
	again := rest.Clone()
	again.Union(b)
	if !union.ContainsSet(a) || !union.ContainsSet(b) || !again.Equal(union) || !a.ContainsSet(rest) || !rest.Minus(b).Equal(rest) {
		t.Errorf("%v and %v: the union is %v, the rest %v, and both %v", a, b, union, rest, again)
	}
	for _, l := range a.lanes {
		for _, iv := range l.ivs {
			g := GTID{UUID: l.uuid, Tag: l.tag, GNO: iv.first}
			one := &GTIDSet{}
			one.Add(g)
			if !a.Contains(g) || !union.Contains(g) || rest.Contains(g) == b.Contains(g) || one.String() != g.String() {
				t.Errorf("%v and %v: of %v the union is %v and the rest %v", a, b, g, union, rest)
			}
		}
	}
}

func FuzzDomainPosition(f *testing.F) {
	for _, s := range []string{"", "0-1-7", "3-1-2,0-101-9,1-4294967295-18446744073709551615", "0-1-7,0-2-9", "0-1", "0-1-0", "4294967296-1-1", "a-b-c"} {
		f.Add([]byte(s), "0-1-7")
	}
	f.Add(gtidListBody(DomainGTID{0, 1, 7}, DomainGTID{3, 2, 9}), "0-1-8")
	f.Add(gtidListBody(DomainGTID{0, 1, 7})[:9], "")
	eachRecordedBody(f, func(_ Flavor, ev event) {
		if ev.kind == evGTIDList {
			f.Add(ev.body, "0-101-1")
		}
	})
	f.Fuzz(func(t *testing.T, b []byte, id string) {
		if list, err := decodeGTIDList(b); err == nil && !mustDomains(t, list.String()).Equal(list) {
			t.Errorf("%x is %v, which does not read back", b, list)
		}
		state, err := ParseDomainState(string(b))
		g, gErr := ParseDomainGTID(id)
		if err == nil && gErr == nil && state.Holds(g) && g.Sequence > 1 && !state.Holds(DomainGTID{g.Domain, g.Server, g.Sequence - 1}) {
			t.Errorf("%q holds %v and not the one before", b, g)
		}
		p, err := ParseDomainPosition(string(b))
		if err != nil {
			return
		}
		if back := mustDomains(t, p.String()); !back.Equal(p) || p.IsEmpty() != (p.String() == "") {
			t.Errorf("%q reads back as %v", b, back)
		}
		if gErr == nil {
			next := p.Clone()
			next.Set(g)
			if last, ok := next.Find(g.Domain); !ok || last != g {
				t.Errorf("%v with %v holds %v", p, g, last)
			}
		}
	})
}

func FuzzPosition(f *testing.F) {
	for _, s := range []string{
		`{"format":1,"flavor":"mysql","server_uuid":"u","gtid":"` + uuidA + `:1-7:9","file":"binlog.000003","pos":1234}`,
		`{"format":1,"flavor":"mariadb","server_uuid":"101","gtid":"0-101-9,3-1-2","file":"binlog.000003","pos":1234}`,
		`{"format":1,"flavor":"mysql","server_uuid":"` + uuidA + `","gtid":"","file":"a\"\\b","pos":4}`,
		`{"format":2,"flavor":"mariadb","server_uuid":"101","gtid":"0-101-9","file":"binlog.000003","pos":1234,"prepared":[{"xid":"X'61',X'',1","id":"0-101-5","after":"0-101-4","file":"binlog.000002","pos":99},{"xid":"x","id":"4-1-1","file":"","pos":0,"lost":true}]}`,
		`{"format":2,"flavor":"mariadb","gtid":"","file":"","pos":0,"prepared":[{"xid":"x","id":"y","file":"","pos":0}]}`, `{"format":2,"flavor":"mysql","gtid":"","file":"","pos":0,"prepared":[{"xid":"","id":""}]}`,
		`{"format":2,"flavor":"mysql","gtid":""}`, `{"format":1,"flavor":"mysql","file":"a","pos":4}`, `{"format":1,"flavor":"mysql","file":"","pos":4}`, `{"format":3}`,
		`{"format":2}`, `{"format":1,"flavor":"oracle"}`, `{"format":1,"flavor":"mysql","gtid":"x"}`, `{"format":1,"flavor":"mariadb","gtid":"x"}`, `{}x`, `{"unknown":1}`, ``,
	} {
		f.Add([]byte(s))
	}
	for _, flavor := range []Flavor{MySQL, MariaDB} {
		m, _ := flavoredMachine(f, flavor)
		if err := readAll(recordedPackets(f, flavor), m.take); err != nil {
			f.Fatal(err)
		}
		f.Add(m.position.Append(nil))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := ParsePosition(b)
		if err != nil {
			return
		}
		text := p.Append(nil)
		back, err := ParsePosition(text)
		if err != nil || !bytes.Equal(back.Append(nil), text) {
			t.Errorf("%q is written as %q, which reads back as %v, %v", b, text, back, err)
		}
	})
}

// FuzzEvent holds that every event's body is refused or parses to what can be
// used, whatever type it is said to have.
func FuzzEvent(f *testing.F) {
	eachRecordedBody(f, func(flavor Flavor, ev event) { f.Add(byte(ev.kind), flavor == MariaDB, ev.body) })
	for _, checksum := range []bool{false, true} {
		for _, p := range plainLog(checksum) {
			f.Add(p[4], false, p[headerSize:])
		}
	}
	for _, body := range []string{"binlog.000009", "\x01\x0dbinlog.000009\x02\x09\xfe\x00\x00\x00\x00\x01\x00\x00\x00\x00", "\x01\xff", "\x01\xfc\x0d\x00binlog.000009", "\x01\xfd\x0d\x00\x00binlog.000009"} {
		f.Add(byte(evHeartbeat), true, []byte(body))
		f.Add(byte(evHeartbeatV2), false, []byte(body))
	}
	f.Fuzz(func(t *testing.T, kind byte, maria bool, body []byte) {
		ev := event{header: header{kind: eventType(kind), size: uint32(headerSize + len(body)), serverID: 7}, body: body}
		if ev.kind.String() == "" {
			t.Error("an event type without a name")
		}
		if g, err := parseGTID(ev); err == nil && ev.kind != evAnonymousGTID {
			readsBack(t, g.id.gtid)
		}
		if g, err := parseTaggedGTID(body); err == nil {
			readsBack(t, g.id.gtid)
		}
		if g, err := parseMariaGTID(ev); err == nil {
			if back, err := ParseDomainGTID(g.id.String()); err != nil || back != g.id {
				t.Errorf("%v reads back as %v, %v", g.id, back, err)
			}
		}
		if r, err := parseRotate(body); err == nil && (!validFileName(r.file) || r.pos < firstEvent) {
			t.Errorf("rotate to %q:%d", r.file, r.pos)
		}
		if hb, err := parseHeartbeat(ev); err == nil && !validFileName(hb.file) {
			t.Errorf("heartbeat in %q", hb.file)
		}
		if q, err := parseQuery(body); err == nil && len(q.text) > 4*len(body) {
			t.Error("a statement is longer than its event")
		}
		_, _ = parseFormat(body)
		if p, err := parsePayload(body); err == nil && len(p.data) > len(body) {
			t.Error("a payload is longer than its event")
		}
		// And as the first event of a connection's second transaction.
		m, _ := flavoredMachine(t, flavorIf(maria))
		if err := m.take(event{header: header{kind: evRotate, flags: flagArtificial}, body: []byte("\x04\x00\x00\x00\x00\x00\x00\x00binlog.000001")}); err != nil {
			t.Fatal(err)
		}
		_ = m.take(ev)
	})
}

func readsBack(t *testing.T, g GTID) {
	t.Helper()
	set := &GTIDSet{}
	set.Add(g)
	if !mustSet(t, set.String()).Contains(g) {
		t.Errorf("%v does not read back", g)
	}
}
