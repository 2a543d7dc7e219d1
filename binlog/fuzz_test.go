package binlog

import (
	"bytes"
	"testing"
)

func FuzzGTIDSet(f *testing.F) {
	for _, s := range []string{"", uuidA + ":1-5:7", uuidA + ":1:blue:2-3," + uuidB + ":9", uuidA + ":1-9223372036854775806"} {
		f.Add([]byte(s))
		f.Add(mustSet(f, s).encode())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
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

func FuzzPosition(f *testing.F) {
	f.Add([]byte(`{"format":1,"flavor":"mysql","server_uuid":"u","gtid":"` + uuidA + `:1-7:9","file":"binlog.000003","pos":1234}`))
	f.Add([]byte(`{"format":2}`))
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

func FuzzTaggedGTID(f *testing.F) {
	f.Add([]byte{0x02, 0x76, 0x00, 0x00, 0x02, 0x02, 0x02})
	f.Fuzz(func(t *testing.T, b []byte) {
		g, err := parseTaggedGTID(b)
		if err == nil {
			set := &GTIDSet{}
			set.Add(g.id.gtid)
			if back := mustSet(t, set.String()); !back.Contains(g.id.gtid) {
				t.Errorf("%x is %v, which does not read back", b, g.id)
			}
		}
	})
}
