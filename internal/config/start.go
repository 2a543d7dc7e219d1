package config

import (
	"fmt"
	"strconv"
	"strings"
)

// Start says where a shard begins that has no saved position.
type Start struct {
	// Mode is earliest, latest, gtid or file.
	Mode string
	// GTIDs is the set of mode gtid: what is already known.
	GTIDs string
	// File and Offset are those of mode file.
	File   string
	Offset uint64
}

// String returns the text form.
func (s Start) String() string {
	switch s.Mode {
	case "gtid":
		return "gtid:" + s.GTIDs
	case "file":
		return fmt.Sprintf("file:%s:%d", s.File, s.Offset)
	}
	return s.Mode
}

func (s *Start) parseText(text string) error {
	mode, rest, hasRest := strings.Cut(text, ":")
	switch {
	case !hasRest && (mode == "earliest" || mode == "latest"):
		*s = Start{Mode: mode}
		return nil
	case hasRest && mode == "gtid":
		if err := checkGTIDSet(rest); err != nil {
			return err
		}
		*s = Start{Mode: mode, GTIDs: rest}
		return nil
	case hasRest && mode == "file":
		return s.parseFile(text, rest)
	case mode == "timestamp":
		return later("%q is no place to start: write earliest, latest, gtid:<set> or file:<name>:<offset>", text)
	}
	e := badText("not-one-of", "%q is no place to start: write earliest, latest, gtid:<set> or file:<name>:<offset>", text)
	e.fix = closest(mode, []string{"earliest", "latest"})
	return e
}

func (s *Start) parseFile(text, rest string) error {
	i := strings.LastIndexByte(rest, ':')
	if i <= 0 {
		return badText("bad-position", "%q is no place in a binlog: write file:binlog.000042:4", text)
	}
	offset, err := strconv.ParseUint(rest[i+1:], 10, 64)
	if err != nil || offset < 4 {
		return badText("bad-position", "%q has no offset: events begin at offset 4 of a binlog", text)
	}
	*s = Start{Mode: "file", File: rest[:i], Offset: offset}
	return nil
}

// checkGTIDSet checks the form of a MySQL GTID set: uuid:n[-m][:n[-m]]…,
// separated by commas. Tags, which MySQL 8.3 brought, may stand between. A
// position of MariaDB, domain-server-sequence,…, is one too.
func checkGTIDSet(set string) error {
	if isDomainPosition(set) {
		return checkDomains(set)
	}
	for sid := range strings.SplitSeq(set, ",") {
		parts := strings.Split(strings.TrimSpace(sid), ":")
		if !patterns["uuid"].re.MatchString(parts[0]) || len(parts) < 2 {
			return badText("bad-position", "%q is no GTID set: write <server uuid>:1-100, on MariaDB 0-101-100, separated by commas", set)
		}
		for _, interval := range parts[1:] {
			if !patterns["interval"].re.MatchString(strings.TrimSpace(interval)) {
				return badText("bad-position", "%q is no interval of a GTID set: write 1-100, or 7", interval)
			}
		}
	}
	return nil
}

// isDomainPosition reports whether a set has the form of MariaDB.
func isDomainPosition(set string) bool {
	for gtid := range strings.SplitSeq(set, ",") {
		if !patterns["domain"].re.MatchString(strings.TrimSpace(gtid)) {
			return false
		}
	}
	return true
}

// checkDomains checks that a position of MariaDB names each domain once.
func checkDomains(set string) error {
	seen := map[string]bool{}
	for gtid := range strings.SplitSeq(set, ",") {
		domain, _, _ := strings.Cut(strings.TrimSpace(gtid), "-")
		if seen[domain] {
			return badText("bad-position", "domain %s comes twice: of each domain the last transaction is named, once", domain)
		}
		seen[domain] = true
	}
	return nil
}
