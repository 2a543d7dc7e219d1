package view

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"tailwater/change"
	"tailwater/internal/envelope"
)

// wrapped is the view of the shop in another form.
func wrapped(kind envelope.Kind) *Definition {
	d := shopView()
	d.Envelope, d.Connector = kind, "mysql"
	return d
}

// afar is a change with what only other forms tell.
func afar(c *Change) *Change {
	c.File, c.Pos, c.Server, c.ReadMicros = "binlog.000007", 4, 101, c.TSMicros+1000
	return c
}

// applyAs is apply for a plan with another form.
func applyAs(t *testing.T, p *Plan, c *Change) []Event {
	t.Helper()
	var out []Event
	err := p.Apply(afar(c), func(e Event) error {
		if !json.Valid(e.Key) || !json.Valid(e.Value) {
			t.Errorf("not JSON: %s %s", e.Key, e.Value)
		}
		out = append(out, e)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestEnvelope_EventsOfAView(t *testing.T) {
	for _, kind := range envelope.Kinds[1:] {
		p := mustCompile(t, wrapped(kind), orders())
		var out strings.Builder
		for i, c := range []*Change{
			testChange(change.Create, nil, order()),
			testChange(change.Read, nil, order()),
			testChange(change.Update, order("status", `"new"`, "payload", "null"), order()),
			testChange(change.Update, order(), order("email", `"not selected"`)),
			testChange(change.Update, order(), order("id", "43")),
			testChange(change.Update, order(), order("status", `"test"`)),
			testChange(change.Update, order("status", `"test"`), order()),
			testChange(change.Delete, order(), nil),
		} {
			fmt.Fprintf(&out, "change %d: %s\n", i+1, c.Op)
			for _, e := range applyAs(t, p, c) {
				fmt.Fprintf(&out, "  key   %s\n  value %s\n", e.Key, e.Value)
			}
		}
		golden(t, "envelope_"+string(kind), out.String())
	}
}

// Whatever the form, the events of a change are the same: their number, order,
// operation and place in the log decide who accepts them.
func TestEnvelope_ChangesNothingButTheBytes(t *testing.T) {
	changes := []*Change{
		testChange(change.Create, nil, order()), testChange(change.Update, order(), order("id", "43")),
		testChange(change.Update, order(), order("status", `"test"`)), testChange(change.Create, nil, order("status", `"test"`)),
		testChange(change.Update, order(), order("qty", "4")), testChange(change.Delete, order(), nil),
	}
	flat := mustCompile(t, shopView(), orders())
	for _, kind := range envelope.Kinds[1:] {
		p := mustCompile(t, wrapped(kind), orders())
		keys := map[string]string{}
		for i, c := range changes {
			want, got := apply(t, flat, c), applyAs(t, p, c)
			if len(got) != len(want) {
				t.Fatalf("%s, change %d: got %d events, want %d", kind, i, len(got), len(want))
			}
			for n := range want {
				if got[n].Op != want[n].Op || got[n].LSN != want[n].LSN {
					t.Errorf("%s, change %d, event %d: got %s %s %s, want %s %s", kind, i, n, got[n].Op, got[n].LSN, got[n].Value, want[n].Op, want[n].LSN)
				}
				if was, ok := keys[string(want[n].Key)]; ok && was != string(got[n].Key) {
					t.Errorf("%s: the row %s has the keys %s and %s", kind, want[n].Key, was, got[n].Key)
				}
				keys[string(want[n].Key)] = string(got[n].Key)
			}
		}
		if len(keys) != 2 || keys[`["03","42"]`] == keys[`["03","43"]`] {
			t.Errorf("%s: got the keys %v, want one for each row", kind, keys)
		}
	}
}

func TestEnvelope_AbsentColumnIsNeverNULL(t *testing.T) {
	for _, kind := range envelope.Kinds[1:] {
		p := mustCompile(t, wrapped(kind), orders())
		for _, c := range []*Change{
			testChange(change.Update, order("items", "absent"), order()),
			testChange(change.Update, order(), order("items", "absent")),
			testChange(change.Create, nil, order("items", "absent")),
		} {
			err := p.Apply(afar(c), func(e Event) error { t.Errorf("%s: got %s", kind, e.Value); return nil })
			if err == nil || !strings.Contains(err.Error(), "a row image has no column items") {
				t.Errorf("%s: got %v, want an error that names the column", kind, err)
			}
		}
	}
}

func TestEnvelope_NothingMaskedComesOut(t *testing.T) {
	for _, kind := range envelope.Kinds[1:] {
		d := ordersView(func(d *Definition) {
			d.Envelope = kind
			d.Masking = map[string]Mask{"email": {Kind: "hash", Salt: []byte("salt")}, "phone": {Kind: "drop"}, "status": {Kind: "truncate", Keep: 1}}
		})
		for _, e := range applyAs(t, mustCompile(t, d, orders()), testChange(change.Update, order("email", `"old@example.com"`), order())) {
			for _, secret := range []string{"ann@", "old@", "+49", "phone", "paid"} {
				// The declared type of a masked ENUM would tell its members.
				if bytes.Contains(e.Value, []byte(secret)) || bytes.Contains(e.Key, []byte(secret)) {
					t.Errorf("%s: %s is in %s", kind, secret, e.Value)
				}
			}
		}
	}
}

func TestEnvelope_TakesNoMemoryPerRow(t *testing.T) {
	for _, kind := range envelope.Kinds[1:] {
		p := mustCompile(t, ordersView(func(d *Definition) { d.Envelope = kind }), orders())
		emit := func(Event) error { return nil }
		for _, c := range []*Change{
			testChange(change.Create, nil, order()), testChange(change.Update, order("status", `"new"`), order()),
			testChange(change.Update, order(), order("id", "43")), testChange(change.Delete, order(), nil),
		} {
			if n := testing.AllocsPerRun(100, func() {
				if err := p.Apply(c, emit); err != nil {
					t.Fatal(err)
				}
			}); n != 0 {
				t.Errorf("%s, %s: %v allocations per row, want 0", kind, c.Op, n)
			}
		}
	}
}

func TestEnvelope_QuoteBigIsAboutFlatEventsOnly(t *testing.T) {
	d := ordersView(func(d *Definition) { d.Envelope, d.QuoteBig = envelope.Debezium, true })
	value := applyAs(t, mustCompile(t, d, orders()), testChange(change.Create, nil, order()))[0].Value
	if !bytes.Contains(value, []byte(`"amount":"BOI="`)) || !bytes.Contains(value, []byte(`"user_id":18446744073709551615`)) {
		t.Errorf("got %s, want the numbers of the format", value)
	}
}
