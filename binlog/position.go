package binlog

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
)

// PositionFormat is the newest version of the position's bytes. A newer one is
// refused by name, never guessed at. One without prepared transactions is
// written in format 1, so that earlier versions of the program read it too.
const PositionFormat = 2

// Position is where a reader resumes. Its bytes are one JSON object:
//
//	{"format":1,"flavor":"mysql","server_uuid":"…","gtid":"uuid:1-7:9","file":"binlog.000003","pos":1234}
//	{"format":1,"flavor":"mariadb","server_uuid":"101","gtid":"0-101-7,1-102-3","file":"binlog.000003","pos":1234}
//	{"format":2,…,"pos":1234,"prepared":[{"xid":"X'61',X'',1","id":"0-101-5","after":"0-101-4","file":"binlog.000002","pos":99}]}
//
// gtid is the exact set of executed transactions in MySQL's text form, gaps
// kept, or of each domain of MariaDB the last one; a transaction joins it at
// its commit, never at its start. It is absent where it is not known (a server
// without GTIDs). file and pos are the end of the last transaction on the
// server called server_uuid, and mean nothing on another one; MariaDB has no
// uuid and is called by its server_id. prepared are the distributed
// transactions before the position of which no outcome was read (Prepared). The
// keys stand in this order; unknown
// keys of the same format are refused, because a key is only added with a new
// format.
type Position struct {
	Flavor     Flavor
	ServerUUID string
	// GTID is MySQL's set, Domains MariaDB's position; nil where it is not known.
	GTID    *GTIDSet
	Domains *DomainPosition
	File    string
	Pos     uint64
	// Prepared are in the order in which they were prepared.
	Prepared []Prepared
}

// Append appends the bytes of p to dst.
func (p *Position) Append(dst []byte) []byte {
	dst = append(dst, `{"format":`...)
	format := int64(1)
	if len(p.Prepared) > 0 {
		format = 2
	}
	dst = strconv.AppendInt(dst, format, 10)
	dst = append(dst, `,"flavor":`...)
	dst = appendQuoted(dst, string(p.Flavor))
	dst = append(dst, `,"server_uuid":`...)
	dst = appendQuoted(dst, p.ServerUUID)
	if p.GTID != nil || p.Domains != nil {
		dst = append(dst, `,"gtid":"`...)
		if p.GTID != nil {
			dst = p.GTID.Append(dst)
		} else {
			dst = p.Domains.Append(dst)
		}
		dst = append(dst, '"')
	}
	dst = append(dst, `,"file":`...)
	dst = appendQuoted(dst, p.File)
	dst = append(dst, `,"pos":`...)
	dst = strconv.AppendUint(dst, p.Pos, 10)
	if len(p.Prepared) > 0 {
		dst = appendPrepared(dst, p.Prepared)
	}
	return append(dst, '}')
}

// String returns the bytes of p as text.
func (p *Position) String() string { return string(p.Append(nil)) }

// appendQuoted appends s as a JSON string. Names of files and servers are
// printable ASCII; anything else goes the long way.
func appendQuoted(dst []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			quoted, err := json.Marshal(s)
			if err != nil {
				return append(dst, `""`...)
			}
			return append(dst, quoted...)
		}
	}
	dst = append(dst, '"')
	dst = append(dst, s...)
	return append(dst, '"')
}

// ParsePosition reads the bytes that Append writes.
func ParsePosition(b []byte) (*Position, error) {
	var head struct {
		Format int `json:"format"`
	}
	if err := json.Unmarshal(b, &head); err != nil {
		return nil, fmt.Errorf("parse position: %w", err)
	}
	if head.Format > PositionFormat {
		return nil, fmt.Errorf("parse position: format %d is newer than this program's %d: run the version that wrote it, or a later one", head.Format, PositionFormat)
	}
	if head.Format < 1 {
		return nil, fmt.Errorf("parse position: format %d is not one of ours (1 to %d)", head.Format, PositionFormat)
	}
	var body struct {
		Format     int        `json:"format"`
		Flavor     Flavor     `json:"flavor"`
		ServerUUID string     `json:"server_uuid"`
		GTID       *string    `json:"gtid"`
		File       string     `json:"file"`
		Pos        uint64     `json:"pos"`
		Prepared   []Prepared `json:"prepared"`
	}
	if err := decodeStrict(b, &body); err != nil {
		return nil, fmt.Errorf("parse position: %w", err)
	}
	p := &Position{Flavor: body.Flavor, ServerUUID: body.ServerUUID, File: body.File, Pos: body.Pos, Prepared: body.Prepared}
	if (len(p.Prepared) > 0) != (body.Format == 2) {
		return nil, fmt.Errorf("parse position: format %d with %d prepared transactions", body.Format, len(p.Prepared))
	}
	for i := range p.Prepared {
		if err := p.Prepared[i].check(p.Flavor); err != nil {
			return nil, fmt.Errorf("parse position: prepared transaction %d: %w", i+1, err)
		}
	}
	if p.Flavor != MySQL && p.Flavor != MariaDB {
		return nil, fmt.Errorf("parse position: flavor %q is not known to this program", p.Flavor)
	}
	if p.File != "" && !validFileName(p.File) {
		return nil, fmt.Errorf("parse position: %q is not the name of a binlog file", p.File)
	}
	if body.GTID != nil {
		var err error
		if p.Flavor == MariaDB {
			p.Domains, err = ParseDomainPosition(*body.GTID)
		} else {
			p.GTID, err = ParseGTIDSet(*body.GTID)
		}
		if err != nil {
			return nil, fmt.Errorf("parse position: %w", err)
		}
	}
	if p.GTID == nil && p.Domains == nil && p.File == "" {
		return nil, fmt.Errorf("parse position: it holds neither a GTID set nor a file")
	}
	return p, nil
}

// decodeStrict decodes exactly one JSON value without unknown keys.
func decodeStrict(b []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if d.More() {
		return fmt.Errorf("there is text behind the object")
	}
	return nil
}
