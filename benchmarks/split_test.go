package main

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// eventOf is an event with a checksum; where it ends is anywhere.
func eventOf(typ byte, body string) []byte {
	e := make([]byte, eventHeader, eventHeader+len(body)+crc32.Size)
	e[eventType] = typ
	e = append(e, body...)
	binary.LittleEndian.PutUint32(e[eventSize:], uint32(len(e)+crc32.Size))
	return binary.LittleEndian.AppendUint32(e, crc32.ChecksumIEEE(e))
}

// recordedOf is a file of transactions, each a GTID event and its rows.
func recordedOf(transactions ...string) []byte {
	b := append([]byte("\xfebin"), move(nil, eventOf(15, "format"))...)
	b = append(b, eventOf(35, "previous")...)
	for _, rows := range transactions {
		b = append(append(b, eventOf(typeGTID, "gtid "+rows)...), eventOf(30, rows)...)
	}
	return append(b, eventOf(typeRotate, "next")...)
}

// bodies are the bodies of the events of a file, which must end where they say
// and have their checksum. The head stays as it was.
func bodies(t *testing.T, b []byte, head int) string {
	t.Helper()
	var out []string
	for at := 4; at < len(b); {
		size, err := sizeOf(b[at:])
		if err != nil {
			t.Fatal(err)
		}
		e := b[at : at+size]
		at += size
		if at > head {
			if end := binary.LittleEndian.Uint32(e[eventEnd:]); end != uint32(at) {
				t.Errorf("an event says that it ends at %d, it does at %d", end, at)
			}
		}
		sum := len(e) - crc32.Size
		if got, want := binary.LittleEndian.Uint32(e[sum:]), crc32.ChecksumIEEE(e[:sum]); got != want {
			t.Errorf("checksum %08x, want %08x", got, want)
		}
		out = append(out, string(e[eventHeader:sum]))
	}
	return strings.Join(out, ",")
}

func TestSplit_EveryTransactionIsInOnePart(t *testing.T) {
	path := filepath.Join(t.TempDir(), recordedName)
	for name, c := range map[string]struct {
		transactions, want []string
	}{
		"more transactions than parts": {[]string{"a", "b", "c", "d", "e"}, []string{"gtid a,a,", "gtid b,b,gtid c,c,", "gtid d,d,gtid e,e,"}},
		"fewer":                        {[]string{"a", "b"}, []string{"", "gtid a,a,", "gtid b,b,"}},
		"none":                         {nil, []string{"", "", ""}},
	} {
		whole := recordedOf(c.transactions...)
		if err := os.WriteFile(path, whole, 0o600); err != nil {
			t.Fatal(err)
		}
		paths, err := split(path, t.TempDir(), len(c.want))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		p, err := cut(whole)
		if err != nil {
			t.Fatal(err)
		}
		for i, path := range paths {
			part, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.HasPrefix(part, p.head) {
				t.Errorf("%s: part %d has another head", name, i)
			}
			if got, want := bodies(t, part, len(p.head)), "format,previous,"+c.want[i]+"next"; got != want {
				t.Errorf("%s: part %d is %s, want %s", name, i, got, want)
			}
		}
	}
}

func TestSplit_DamagedFilesAreRefused(t *testing.T) {
	whole := recordedOf("a", "b")
	huge := bytes.Clone(whole)
	binary.LittleEndian.PutUint32(huge[4+eventSize:], 1<<31)
	none := bytes.Clone(whole)
	binary.LittleEndian.PutUint32(none[4+eventSize:], 0)
	for name, c := range map[string]struct {
		file []byte
		want string
	}{
		"no magic": {whole[4:], "no binary log"}, "an event cut off": {whole[:50], "offset"}, "a header cut off": {whole[:4+7], "cut off"},
		"an event larger than the file": {huge, "are left"}, "an event of no size": {none, "an event of 0 bytes"},
	} {
		path := filepath.Join(t.TempDir(), recordedName)
		if err := os.WriteFile(path, c.file, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := split(path, t.TempDir(), 2); err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: got %v, want %q and the path", name, err, c.want)
		}
	}
}
