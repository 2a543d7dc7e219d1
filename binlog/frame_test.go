package binlog

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"testing"

	"tailwater/binlog/primary/encode"
)

// plainLog is a short dump as packets without their first byte: a fake ROTATE,
// FORMAT_DESCRIPTION, GTID, BEGIN, XID.
func plainLog(checksum bool) [][]byte {
	w := encode.Writer{ServerID: 7, Checksum: checksum}
	pos := uint32(firstEvent)
	add := func(kind eventType, body []byte) []byte {
		pos += uint32(w.Size(len(body)))
		return w.Append(nil, encode.Header{Timestamp: 1e9, Type: byte(kind), EndPos: pos}, body)
	}
	fake := w.Append(nil, encode.Header{Type: byte(evRotate), Flags: flagArtificial}, encode.Rotate("binlog.000001", 4))
	pos += uint32(encode.FormatDescriptionSize)
	format := w.AppendFormatDescription(nil, encode.Header{EndPos: pos}, "9.7.0", 1)
	g := encode.GTID{UUID: UUID{1}, GNO: 1, ImmediateMicros: 5, OriginalMicros: 5}
	return [][]byte{fake, format, add(evGTID, g.Append(nil, w, 0)), add(evQuery, encode.Query("d", "BEGIN")), add(evXID, encode.XID(1))}
}

// readAll frames all packets, and hands the events to fn until one fails.
func readAll(packets [][]byte, fn func(event) error) error {
	var f framer
	for _, p := range packets {
		ev, err := f.next(p)
		if err == nil {
			err = fn(ev)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func TestFramer_ReadsWithAndWithoutChecksums(t *testing.T) {
	var bodies [2][][]byte
	for i, checksum := range []bool{false, true} {
		err := readAll(plainLog(checksum), func(ev event) error {
			if ev.kind != evFormat {
				bodies[i] = append(bodies[i], bytes.Clone(ev.body))
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for i := range bodies[0] {
		// The length of the transaction, in GTID, counts checksums.
		if i != 1 && !bytes.Equal(bodies[0][i], bodies[1][i]) {
			t.Errorf("body %d differs:\n%x\n%x", i, bodies[0][i], bodies[1][i])
		}
	}
}

func TestHazard_A32_EveryFlippedBitIsFound(t *testing.T) {
	good := plainLog(true)
	flips := 0
	for i := range good {
		for bit := range 8 * len(good[i]) {
			log := make([][]byte, len(good))
			copy(log, good)
			log[i] = bytes.Clone(good[i])
			log[i][bit/8] ^= 1 << (bit % 8)
			m, _ := newTestMachine(t)
			err := readAll(log, m.take)
			flips++
			if err != nil {
				continue
			}
			// Nobody can know whether the first ROTATE has a checksum: its flags
			// and times mean nothing, its name and offset are checked.
			// The in-use flag of FORMAT_DESCRIPTION is meant to change.
			if i == 0 || i == 1 && bit/8 == 17 && bit%8 == 0 {
				if m.file != "binlog.000001" {
					t.Errorf("bit %d of event %d: file is %q", bit, i, m.file)
				}
				continue
			}
			t.Errorf("bit %d of event %d is flipped, and nobody noticed", bit, i)
		}
	}
	if flips < 1000 {
		t.Fatalf("only %d bits were flipped", flips)
	}
	var sum *errChecksum
	last := bytes.Clone(good[4])
	last[20] ^= 1
	if err := readAll(append(good[:4:4], last), func(event) error { return nil }); !errors.As(err, &sum) || !strings.Contains(err.Error(), "XID") {
		t.Errorf("a flipped bit is %v, want a checksum error that names XID", err)
	}
}

func TestFramer_RefusesWhatIsNoEvent(t *testing.T) {
	good := plainLog(true)
	for i := range good {
		for n := range good[i] {
			var f framer
			for _, p := range good[:i] {
				if _, err := f.next(p); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := f.next(good[i][:n]); err == nil {
				t.Errorf("%d of %d bytes of event %d are taken", n, len(good[i]), i)
			}
		}
	}
	var f framer
	if _, err := f.next(good[2]); err == nil || !strings.Contains(err.Error(), "before any FORMAT_DESCRIPTION") {
		t.Errorf("an event without a format is %v", err)
	}
}

// damagedPackets are recordings that are damaged in one place each: cut at an
// event's body, or with another first, ninth or last byte in it.
func damagedPackets(packets [][]byte) [][][]byte {
	var out [][][]byte
	seen := map[byte]bool{}
	for i, p := range packets {
		if seen[p[4]] || len(p) <= headerSize+checksumSize {
			continue
		}
		seen[p[4]] = true
		for _, at := range []int{headerSize, headerSize + 8, headerSize + 12, len(p) - checksumSize - 1} {
			if at >= len(p)-checksumSize {
				continue
			}
			damaged := slices.Clone(packets[:i+1])
			damaged[i] = bytes.Clone(p)
			damaged[i][at] ^= 0x40
			cut := slices.Clone(packets[:i+1])
			cut[i] = append(bytes.Clone(p[:at]), make([]byte, checksumSize)...)
			binary.LittleEndian.PutUint32(cut[i][9:], uint32(len(cut[i])))
			out = append(out, damaged, cut)
		}
	}
	return out
}

func FuzzFraming(f *testing.F) {
	for _, checksum := range []bool{false, true} {
		var all []byte
		for _, p := range plainLog(checksum) {
			all = append(all, p...)
		}
		f.Add(all, false, 100)
		f.Add(all, false, 2) // the third packet has the checksum of other bytes
		f.Add(all, false, 0)
		f.Add(all[len(plainLog(checksum)[0]):], false, 100)
		f.Add(bytes.Join(plainLog(checksum)[2:], nil), false, 100)
		f.Add(append(bytes.Join(plainLog(checksum)[:2], nil), make([]byte, headerSize)...), false, 100)
	}
	for _, flavor := range []Flavor{MySQL, MariaDB} {
		packets := recordedPackets(f, flavor)
		f.Add(bytes.Join(packets, nil), flavor == MariaDB, 1000)
		f.Add(bytes.Join(packets, nil), flavor != MariaDB, 1000)
		for _, p := range damagedPackets(packets) {
			f.Add(bytes.Join(p, nil), flavor == MariaDB, 1000)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte, maria bool, sealed int) {
		// The bytes are cut at the sizes that they themselves announce, and the
		// checksums of the first packets are made right, so that the parsers get
		// something to do.
		m, j := flavoredMachine(t, flavorIf(maria))
		var fr framer
		for len(data) >= headerSize {
			h, err := parseHeader(data)
			if err != nil {
				t.Fatal(err)
			}
			if int(h.size) < headerSize {
				// A packet that is not as long as its header says.
				if _, err := fr.next(data[:headerSize]); err == nil {
					t.Error("a packet of another size than its header says is taken")
				}
				return
			}
			n := min(int(h.size), len(data), 1<<16)
			packet := bytes.Clone(data[:n])
			data = data[n:]
			copy(packet[9:], []byte{byte(n), byte(n >> 8), byte(n >> 16), 0})
			if sealed--; sealed >= 0 && n >= headerSize+checksumSize && (fr.checksum || h.kind == evFormat) {
				encode.Writer{Checksum: true}.Reseal(packet)
			}
			ev, err := fr.next(packet)
			if err != nil {
				return
			}
			if err := m.take(ev); err != nil {
				return
			}
		}
		if j.problem != "" {
			t.Error(j.problem)
		}
	})
}
