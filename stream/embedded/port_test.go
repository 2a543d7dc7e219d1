package embedded

import (
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// outside connects to the log as a stranger does.
func outside(t *testing.T, l *Log) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", l.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return c
}

// sentAway wants the connection closed without an answer.
func sentAway(t *testing.T, c net.Conn, what string) {
	t.Helper()
	n, err := c.Read(make([]byte, 64))
	var late net.Error
	if n > 0 || err == nil || errors.As(err, &late) && late.Timeout() {
		t.Errorf("%s: got %d bytes and %v, want the connection closed", what, n, err)
	}
}

// framed is a request of a key and version with a body.
func framed(key, version int16, body ...byte) []byte {
	b := make([]byte, 4)
	b = binary.BigEndian.AppendUint16(b, uint16(key))
	b = binary.BigEndian.AppendUint16(b, uint16(version))
	b = append(b, 0, 0, 0, 1, 0xff, 0xff)
	b = append(b, body...)
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	return b
}

func TestPort_GarbageEndsItsConnectionAndNothingElse(t *testing.T) {
	one := newLog1(t)
	one.start()
	noise := make([]byte, 64<<10)
	for i, rng := 0, rand.NewChaCha8([32]byte{1}); i < len(noise); i += 8 {
		binary.BigEndian.PutUint64(noise[i:], rng.Uint64())
	}
	for what, b := range map[string][]byte{
		"a request of 4 GiB":      {0xff, 0xff, 0xff, 0xff, 0, 0},
		"a request of 2 GiB":      {0x7f, 0xff, 0xff, 0xff, 0, 1},
		"an empty request":        {0, 0, 0, 0},
		"half a header":           {0, 0, 0, 3, 0, 3, 0},
		"an unknown key":          framed(-1, 0),
		"another unknown key":     framed(30_000, 0),
		"a version below zero":    framed(3, -1),
		"a version of the future": framed(3, 9_000),
		"a body that is cut off":  framed(1, 11, 0xff, 0xff),
		"a huge array":            framed(3, 1, 0x7f, 0xff, 0xff, 0xff),
		"HTTP":                    []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
		"HTTP/2":                  []byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
		"TLS":                     {0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3},
		"noise":                   noise,
	} {
		c := outside(t, one.Log)
		_, _ = c.Write(b) // it may be closed already
		sentAway(t, c, what)
	}
	one.publish(3, 10)
}

func TestPort_StrangersReadAndDoNotWrite(t *testing.T) {
	one := newLog1(t)
	one.start()
	one.publish(3, 10)
	for key := range int16(100) {
		req := kmsg.RequestForKey(key)
		if req == nil || clientMay[kmsg.Key(key)] {
			continue
		}
		c := outside(t, one.Log)
		if _, err := c.Write(kmsg.NewRequestFormatter().AppendRequest(nil, req, 1)); err != nil {
			t.Fatal(err)
		}
		sentAway(t, c, kmsg.NameForKey(key))
	}
	for _, key := range []kmsg.Key{kmsg.Produce, kmsg.DeleteTopics, kmsg.DeleteRecords, kmsg.CreateTopics, kmsg.CreatePartitions,
		kmsg.AlterConfigs, kmsg.IncrementalAlterConfigs, kmsg.InitProducerID, kmsg.EndTxn, kmsg.WriteTxnMarkers} {
		if clientMay[key] {
			t.Errorf("a stranger may %s", key.Name())
		}
	}
	_, err := inspect(framed(int16(kmsg.DeleteTopics), 0)[4:])
	if err == nil || !strings.Contains(err.Error(), "DeleteTopics is refused") || !strings.Contains(err.Error(), "stream.type kafka") {
		t.Errorf("got %v, want what is refused and the way out", err)
	}
}

func TestPort_AFetchIsBounded(t *testing.T) {
	for version := range kmsg.NewPtrFetchRequest().MaxVersion() + 1 {
		req := kmsg.NewPtrFetchRequest()
		req.SetVersion(version)
		req.MaxBytes = 1 << 30
		topic := kmsg.NewFetchRequestTopic()
		topic.Topic = topic1
		part := kmsg.NewFetchRequestTopicPartition()
		part.FetchOffset, part.PartitionMaxBytes = 7, 1<<30
		topic.Partitions = append(topic.Partitions, part)
		req.Topics = append(req.Topics, topic)
		got, err := inspect(kmsg.NewRequestFormatter(kmsg.FormatterClientID("me")).AppendRequest(nil, req, 5)[4:])
		if err != nil {
			t.Fatalf("version %d: %v", version, err)
		}
		req.Topics[0].Partitions[0].PartitionMaxBytes = maxClientFetch
		req.MaxBytes = maxClientFetch
		want := kmsg.NewRequestFormatter(kmsg.FormatterClientID("me")).AppendRequest(nil, req, 5)[4:]
		if string(got) != string(want) {
			t.Errorf("version %d: got\n%x, want\n%x", version, got, want)
		}
	}
}

// A size is an announcement: nothing is taken for it before the bytes are there.
func TestPort_AnnouncedBytesTakeNoMemory(t *testing.T) {
	one := newLog1(t)
	one.start()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for range 80 {
		b := framed(3, 1)
		binary.BigEndian.PutUint32(b, maxClientRequest)
		if _, err := outside(t, one.Log).Write(b); err != nil {
			t.Fatal(err)
		}
	}
	one.publish(3, 10)
	runtime.GC()
	runtime.ReadMemStats(&after)
	if got := int64(after.HeapAlloc) - int64(before.HeapAlloc); got > 10<<20 {
		t.Errorf("80 requests that were announced took %d KiB, want little", got>>10)
	}
}

func TestPort_TheProcessItselfComesInWhenStrangersFillTheRoom(t *testing.T) {
	one := newLog1(t)
	one.start()
	for range 2 * maxClients {
		outside(t, one.Log)
	}
	one.publish(3, 10)
}

// fill gives every field of a request a value that some client might send.
func fill(v reflect.Value, rng *rand.Rand, depth int) {
	numbers := []int64{-1, 0, 1, 2, 5, 1 << 20, -1 << 31, 1<<31 - 1, -1 << 63, 1<<63 - 1}
	texts := []string{topic1, "", "group", "range", "consumer", "member", "no such", strings.Repeat("x", 300), "\x00\xff"}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if name := v.Type().Field(i).Name; v.Field(i).CanSet() && name != "Version" && name != "UnknownTags" {
				fill(v.Field(i), rng, depth+1)
			}
		}
	case reflect.Bool:
		v.SetBool(rng.IntN(2) == 0)
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(numbers[rng.IntN(len(numbers))])
	case reflect.String:
		v.SetString(texts[rng.IntN(len(texts))])
	case reflect.Pointer:
		if rng.IntN(2) == 0 {
			v.Set(reflect.New(v.Type().Elem()))
			fill(v.Elem(), rng, depth+1)
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			v.SetBytes([]byte(texts[rng.IntN(len(texts))]))
			return
		}
		v.Set(reflect.MakeSlice(v.Type(), rng.IntN(3), 3))
		for i := range v.Len() {
			fill(v.Index(i), rng, depth+1)
		}
	}
}

// Whatever a stranger may ask for, with whatever in it, the broker stands: it
// runs in this process, and its end would be that of the pipeline.
func TestPort_NothingThatAStrangerMayAskEndsTheBroker(t *testing.T) {
	one := newLog1(t)
	one.start()
	one.publish(3, 10)
	const seed = 20
	rng := rand.New(rand.NewPCG(seed, 1))
	answers := 0
	for i := range 1500 {
		var req kmsg.Request
		for req == nil || !clientMay[kmsg.Key(req.Key())] {
			req = kmsg.RequestForKey(int16(rng.IntN(100)))
		}
		req.SetVersion(int16(rng.IntN(int(req.MaxVersion()) + 1)))
		fill(reflect.ValueOf(req).Elem(), rng, 0)
		b := kmsg.NewRequestFormatter(kmsg.FormatterClientID("me")).AppendRequest(nil, req, 1)
		if rng.IntN(4) == 0 {
			b[8+rng.IntN(len(b)-8)] ^= byte(1 + rng.IntN(255))
		}
		c := outside(t, one.Log)
		if err := c.SetDeadline(time.Now().Add(20 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write(b); err != nil {
			t.Fatalf("request %d: %v", i, err)
		}
		if _, err := io.ReadFull(c, make([]byte, 8)); err == nil {
			answers++
		}
		_ = c.Close()
	}
	if answers < 300 {
		t.Errorf("the broker answered %d of 1500 requests, want more: they prove nothing", answers)
	}
	one.publish(6, 10)
}
