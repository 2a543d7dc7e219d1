package binlog

import "testing"

// Names share buffers; none may change when others are made.
func TestTxNames_StayAsTheyWere(t *testing.T) {
	var names txNames
	ids := []txID{
		{gtid: GTID{UUID: UUID{1}, GNO: maxGNO}},
		{gtid: GTID{UUID: UUID{0xff}, Tag: "a_tag_of_thirty_two_characters_x", GNO: 1}},
		{domain: DomainGTID{Domain: 1<<32 - 1, Server: 1<<32 - 1, Sequence: 1<<64 - 1}},
	}
	var got []string
	for range 200 {
		for _, id := range ids {
			got = append(got, names.of(id))
		}
	}
	for i, name := range got {
		if want := ids[i%len(ids)].String(); name != want {
			t.Fatalf("name %d: got %q, want %q", i, name, want)
		}
		if len(name) > mostName {
			t.Errorf("%q has %d characters, more than there is room for", name, len(name))
		}
	}
}
