package binlog

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"tailwater/binlog/primary"
	"tailwater/internal/testenv"
)

// moveCase is one server and position, and what it means to move it.
type moveCase struct {
	name, saved, target string
	mode                PositionMode
	published           []string
	change              func(*server)
	want                string
}

func gtidAt(set string, pos int) string {
	return fmt.Sprintf(`{"format":1,"flavor":"mysql","server_uuid":"%s","gtid":"%s","file":"binlog.000003","pos":%d}`, uuidA, set, pos)
}

func fileAt(uuid, name string, pos int) string {
	return fmt.Sprintf(`{"format":1,"flavor":"mysql","server_uuid":"%s","file":"%s","pos":%d}`, uuid, name, pos)
}

// text is a move in one line, or why there is none.
func (m *Move) text(err error) string {
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("to %s passed %q (%d) lost %q foreign %q pending %q notes %q", m.Target, m.Passed, m.Transactions, m.Lost, m.Foreign, m.Pending, m.Notes)
}

// runs moves on a server, and compares what they say.
func runMoves(t *testing.T, cases []moveCase, fresh func() (*server, Options)) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			srv, o := fresh()
			o.Position = c.mode
			o.fill()
			if c.change != nil {
				c.change(srv)
			}
			target, err := parseTarget(c.target, o.Flavor, o.Position)
			if err != nil {
				t.Fatal(err)
			}
			var saved []byte
			if c.saved != "" {
				saved = []byte(c.saved)
			}
			m, err := srv.move(&o, saved, c.published, moveTarget{target, c.target})
			if got := m.text(err); !strings.Contains(got, c.want) {
				t.Errorf("got  %s\nwant …%s…", got, c.want)
			}
			if err != nil {
				return
			}
			// The same place by its exact name is the same move.
			exact, err := parseTarget(m.Target, o.Flavor, o.Position)
			if err != nil {
				t.Fatalf("the exact target %s: %v", m.Target, err)
			}
			again, err := srv.move(&o, saved, c.published, moveTarget{exact, m.Target})
			if err != nil || again.Passed != m.Passed || again.Target != m.Target {
				t.Errorf("again: %s\nfirst: %s", again.text(err), m.text(nil))
			}
		})
	}
}

func TestMove_BySetsOfMySQL(t *testing.T) {
	other := func(s *server) { s.sets.executed = mustSet(t, uuidA+":1-100,"+uuidB+":1-5") }
	runMoves(t, []moveCase{
		{"now", gtidAt(uuidA+":1-50", 100), "now", ByGTID, nil, nil, `to gtid:` + uuidA + `:1-100 passed "` + uuidA + `:51-100" (50) lost "" foreign "" pending [] notes []`},
		{"purged", gtidAt(uuidA+":1-5", 100), "oldest", ByGTID, nil, nil, `to gtid:` + uuidA + `:1-10 passed "` + uuidA + `:6-10" (5)`},
		{"nothing to pass over", gtidAt(uuidA+":1-50", 100), "oldest", ByGTID, nil, nil, `to gtid:` + uuidA + `:1-50 passed "" (0) lost "" foreign "" pending [] notes []`},
		{"a gap stays", gtidAt(uuidA+":1-20:30", 100), "oldest", ByGTID, nil, nil, `to gtid:` + uuidA + `:1-20:30 passed ""`},
		{"exactly", gtidAt(uuidA+":1-50", 100), "gtid:" + uuidA + ":1-60", ByGTID, nil, nil, `passed "` + uuidA + `:51-60" (10)`},
		{"back", gtidAt(uuidA+":1-50", 100), "gtid:" + uuidA + ":1-40", ByGTID, nil, nil, "the rows of " + uuidA + ":41-50 are published, and would come twice; give --to gtid:" + uuidA + ":1-50, or read them into another pipeline"},
		{"beyond", gtidAt(uuidA+":1-50", 100), "gtid:" + uuidA + ":1-101", ByGTID, nil, nil, "the target holds " + uuidA + ":101, which server " + uuidA + " has never executed"},
		{"before what is purged", gtidAt(uuidA+":1-5", 100), "gtid:" + uuidA + ":1-7", ByGTID, nil, nil, "has purged " + uuidA + ":8-10, which the target does not hold"},
		{"without a position", "", "oldest", ByGTID, nil, nil, `to gtid:` + uuidA + `:1-10 passed "` + uuidA + `:1-10" (10)`},
		{"a fail-over lost the end", gtidAt(uuidA+":1-100,"+uuidB+":1-9", 1), "now", ByGTID, nil, other, `to now passed "" (0) lost "` + uuidB + `:6-9" foreign "` + uuidB + `:6-9" pending [] notes []`},
		{"a fail-over lost the stream's tail", gtidAt(uuidA+":1-50", 1), "oldest", ByGTID, []string{uuidA + ":51", uuidB + ":7"}, nil, `passed "" (0) lost "` + uuidB + `:7" foreign "` + uuidB + `:7" pending ["` + uuidA + `:51"]`},
		{"half published", gtidAt(uuidA+":1-50", 1), "now", ByGTID, []string{uuidA + ":51"}, nil, `pending [] notes ["of 1 transactions that are passed over some rows, or all, are published already"]`},
		{"reset", gtidAt(uuidA+":1-200", 100), "now", ByGTID, nil, nil, `passed "" (0) lost "` + uuidA + `:101-200" foreign "" pending [] notes ["` + uuidA + `:101-200 bear this server's own name`},
		{"without a set", fileAt(uuidA, "binlog.000003", 4), "oldest", ByGTID, nil, nil, "holds no GTID set, so that nobody can say which rows would come twice; give --to now"},
		{"unknown without a set", fileAt(uuidA, "binlog.000003", 4), "now", ByGTID, nil, nil, "which transactions are passed over cannot be said"},
		{"unreadable", "{}", "now", ByGTID, nil, nil, "the saved position cannot be read"},
		{"of MariaDB", `{"format":1,"flavor":"mariadb","server_uuid":"1","gtid":"0-1-7","file":"","pos":0}`, "now", ByGTID, nil, nil, "is of a mariadb server"},
		{"gtid_mode off", gtidAt(uuidA+":1-50", 100), "now", ByGTID, nil, func(s *server) { s.vars["gtid_mode"] = "OFF" }, `gtid_mode is "OFF"`},
	}, func() (*server, Options) {
		return &server{
			vars:  variables{"server_uuid": uuidA, "gtid_mode": "ON"},
			sets:  gtidSets{executed: mustSet(t, uuidA+":1-100"), purged: mustSet(t, uuidA+":1-10")},
			files: []binlogFile{{"binlog.000002", 2000}, {"binlog.000003", 1000}}, end: place{"binlog.000003", 900},
		}, Options{Shard: "00", Host: "h", User: "u"}
	})
}

func TestMove_ByFile(t *testing.T) {
	runMoves(t, []moveCase{
		{"now", fileAt(uuidA, "binlog.000002", 50), "now", ByFile, []string{"binlog.000002:40", "binlog.000002:60"}, nil, `to file:binlog.000003:900 passed "binlog.000002:50 to binlog.000003:900" (0) lost "" foreign "" pending [] notes ["of 2 `},
		{"purged", fileAt(uuidA, "binlog.000001", 50), "oldest", ByFile, nil, nil, `to file:binlog.000002:4 passed "binlog.000001:50 to binlog.000002:4"`},
		{"nothing to pass over", fileAt(uuidA, "binlog.000002", 50), "oldest", ByFile, []string{"binlog.000002:60"}, nil, `to file:binlog.000002:50 passed "" (0) lost "" foreign "" pending ["binlog.000002:60"] notes []`},
		{"exactly", fileAt(uuidA, "binlog.000002", 50), "file:binlog.000003:100", ByFile, nil, nil, `passed "binlog.000002:50 to binlog.000003:100"`},
		{"too far", fileAt(uuidA, "binlog.000002", 50), "file:binlog.000003:5000", ByFile, nil, nil, "ends at 1000"},
		{"back", fileAt(uuidA, "binlog.000003", 50), "file:binlog.000002:50", ByFile, nil, nil, "what lies between it and binlog.000003:50 is published"},
		{"without a position", "", "now", ByFile, nil, nil, `passed "binlog.000002:4 to binlog.000003:900"`},
		{"shorter", fileAt(uuidA, "binlog.000003", 1001), "oldest", ByFile, nil, nil, "of a history that this one has no more"},
		{"unknown, shorter", fileAt(uuidA, "binlog.000003", 1001), "now", ByFile, nil, nil, `lost "binlog.000003:900 to binlog.000003:1001"`},
		{"another server", fileAt(uuidB, "binlog.000002", 50), "file:binlog.000002:60", ByFile, nil, nil, "give --to now"},
		{"unknown, another server", fileAt(uuidB, "binlog.000002", 50), "now", ByFile, nil, nil, `to now passed "whatever this server committed before binlog.000003:900`},
		{"no binlogs", "", "now", ByFile, nil, func(s *server) { s.files = nil }, "lists no binlog"},
	}, func() (*server, Options) {
		return &server{
			vars: variables{"server_uuid": uuidA, "gtid_mode": "OFF"}, sets: gtidSets{executed: &GTIDSet{}, purged: &GTIDSet{}},
			files: []binlogFile{{"binlog.000002", 2000}, {"binlog.000003", 1000}}, end: place{"binlog.000003", 900},
		}, Options{Shard: "00", Host: "h", User: "u"}
	})
}

func TestMove_ByDomainsOfMariaDB(t *testing.T) {
	at := func(text string) string {
		return fmt.Sprintf(`{"format":1,"flavor":"mariadb","server_uuid":"101","gtid":"%s","file":"binlog.000003","pos":1}`, text)
	}
	runMoves(t, []moveCase{
		{"now", at("0-101-50,4-101-7"), "now", ByGTID, nil, nil, `to gtid:0-101-100,4-101-7 passed "behind 0-101-50 up to 0-101-100" (50) lost ""`},
		{"purged", at("0-101-5,4-101-7"), "oldest", ByGTID, []string{"0-101-4", "0-101-60"}, nil, `to gtid:0-101-10,4-101-7 passed "behind 0-101-5 up to 0-101-10" (5) lost "" foreign "" pending ["0-101-60"]`},
		{"nothing to pass over", at("0-101-50,4-101-7"), "oldest", ByGTID, nil, nil, `to gtid:0-101-50,4-101-7 passed "" (0)`},
		{"a new domain", at("0-101-50"), "now", ByGTID, nil, nil, `passed "behind 0-101-50 up to 0-101-100, domain 4 up to 4-101-7" (57)`},
		{"back", at("0-101-50"), "gtid:0-101-40,4-101-7", ByGTID, nil, nil, "in domain 0 transactions up to 0-101-50 are published, and would come twice; give 0-101-50, or a later one"},
		{"without a domain", at("0-101-50,4-101-7"), "gtid:0-101-60", ByGTID, nil, nil, "in domain 4 transactions up to 4-101-7"},
		{"never logged", at("0-101-50"), "gtid:0-101-101", ByGTID, nil, nil, "which server 101 has never logged"},
		{"lost", at("0-102-103,4-101-7"), "now", ByGTID, nil, nil, `passed "whatever of domain 0 up to 0-101-100 was not read elsewhere" (0) lost "0-102-103"`},
		{"lost, oldest", at("0-102-103,4-101-7"), "oldest", ByGTID, nil, nil, `to gtid:0-101-100,4-101-7`},
		{"lost, back", at("0-102-103,4-101-7"), "gtid:0-101-90,4-101-7", ByGTID, nil, nil, "give 0-101-100, or a later one"},
		{"without GTIDs", strings.Replace(at("0-1-1"), `"gtid":"0-1-1",`, "", 1), "oldest", ByGTID, nil, nil, "holds no GTIDs"},
	}, func() (*server, Options) {
		state, _ := ParseDomainState("0-101-100,4-101-7")
		end, _ := ParseDomainPosition("0-101-100,4-101-7")
		first, _ := ParseDomainPosition("0-101-10")
		return &server{
			vars: variables{"server_uuid": "101"}, domains: domainHistory{state: state, end: end, first: first},
			files: []binlogFile{{"binlog.000002", 2000}, {"binlog.000003", 1000}}, end: place{"binlog.000003", 900},
		}, Options{Shard: "00", Host: "h", User: "u", Flavor: MariaDB}
	})
}

func TestMove_TargetsAreCheckedBeforeAnyServerIsAsked(t *testing.T) {
	for _, c := range []struct {
		target string
		mode   PositionMode
		want   string
	}{
		{"now", ByGTID, ""}, {"oldest", ByFile, ""}, {"gtid:" + uuidA + ":1-7", ByGTID, ""}, {"file:binlog.000001:4", ByFile, ""},
		{"yesterday", ByGTID, "want now, oldest, gtid:<set> or file:<name>:<offset>"}, {"latest", ByGTID, "want now"},
		{"gtid:", ByFile, "by file"}, {"file:binlog.000001:4", ByGTID, "by gtid"}, {"gtid:nonsense", ByGTID, "want uuid:"}, {"file:x:y", ByFile, "file:binlog.000042:4"},
	} {
		err := CheckTarget(c.target, MySQL, c.mode)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s by %s: got %v, want %q", c.target, c.mode, err, c.want)
		}
	}
}

// The whole way on one server: the refusal names the target, the target works.
func TestMove_LeadsPastWhatIsPurged(t *testing.T) {
	s := newSource(t, primary.Options{KeepBytes: 1})
	s.insert(1)
	f := s.follow(nil)
	f.wantIDs(1, 1)
	position, _ := f.stop()
	for id := 2; id < 8; id++ {
		s.insert(id)
		s.Rotate()
	}
	s.insert(8)
	// A file is purged once nobody reads it any more.
	left := func() error {
		if n := s.Followers(); n > 0 {
			return fmt.Errorf("%d followers", n)
		}
		return nil
	}
	testenv.Wait(t, patience, "the reader to leave the server", left)
	s.follow(position).wantStop("has purged", "tailwater shard reset 00 --to oldest", "--to now")
	testenv.Wait(t, patience, "the refused reader to leave it", left)
	r, err := New(s.options())
	if err != nil {
		t.Fatal(err)
	}
	m, err := r.Move(t.Context(), position, nil, TargetOldest)
	if err != nil || m.Passed == "" || m.Transactions == 0 {
		t.Fatalf("got %s", m.text(err))
	}
	last := s.follow(m.To)
	last.await("the last row", func(j *journal) bool { return len(j.rows) > 0 && strings.Contains(j.rows[len(j.rows)-1], "[8,") })
	if got, want := len(last.rows())+int(m.Transactions), 7; got != want {
		t.Errorf("%d rows read and %d transactions passed over, want %d together", len(last.rows()), m.Transactions, want)
	}
	var refused *TargetError
	if _, err := r.Move(t.Context(), last.position(), nil, "file:binlog.000001:4"); !errors.As(err, &refused) {
		t.Errorf("got %v, want a refusal", err)
	}
}

func TestReader_RefusesAServerThatLacksWhatTheStreamHolds(t *testing.T) {
	s := newSource(t, primary.Options{})
	s.insert(1)
	f := s.follow(nil)
	f.wantIDs(1, 1)
	position, _ := f.stop()
	has := f.j.transactions[len(f.j.transactions)-1].ID
	for _, c := range []struct {
		known Known
		want  string
	}{
		{Known{Published: []string{has, uuidB + ":7"}}, "the stream, behind the saved position, holds " + uuidB + ":7, which server " + s.UUID() + " has never executed"},
		{Known{Published: []string{"nonsense"}}, "cannot be compared with the server"},
		{Known{GivenUp: []string{"nonsense"}}, "cannot be read"},
	} {
		r, err := New(s.options())
		if err != nil {
			t.Fatal(err)
		}
		r.Resume(position, c.known)
		if err := r.Run(t.Context(), position, newJournal()); err == nil || Classify(err) != Stop || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want it to say %q", err, c.want)
		}
	}
	// A transaction that was given up as lost comes back with its server.
	s.insert(2)
	behind := strings.Split(s.Executed(), ":")[0] + ":1-99"
	r, err := New(s.options())
	if err != nil {
		t.Fatal(err)
	}
	r.Resume(position, Known{GivenUp: []string{behind}})
	err = r.Run(t.Context(), position, newJournal())
	if err == nil || !strings.Contains(err.Error(), "given up as lost: its rows would come twice") || !strings.Contains(err.Error(), "--to gtid:"+s.Executed()) {
		t.Errorf("got %v", err)
	}
	var p struct{ GTID string }
	if err := json.Unmarshal(position, &p); err != nil || p.GTID == s.Executed() {
		t.Errorf("%v: position %s holds everything", err, position)
	}
}
