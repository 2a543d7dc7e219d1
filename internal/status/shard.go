package status

import "time"

// Headroom says how far a shard's position is from being purged by its server.
type Headroom struct {
	// Asked is when the server was last asked, by this process's clock.
	Asked time.Time `json:"asked"`
	// Behind counts the bytes of binlog between the position and the end.
	Behind uint64 `json:"behind_bytes"`
	// Retention is how long the server keeps binlogs, in seconds; 0 is for ever.
	// Left is how long it still keeps the position's; it means nothing without.
	Retention float64 `json:"retention_seconds"`
	Left      float64 `json:"left_seconds"`
	// Low says that a person should look.
	Low bool `json:"low"`
	// Method says where Left comes from.
	Method string `json:"method"`
}

// Reset is the move of a shard's position by a person, or what it would be.
type Reset struct {
	Source string `json:"source"`
	Shard  string `json:"shard"`
	// At is when it was made; zero for one that is only asked about.
	At time.Time `json:"at,omitzero"`
	// Target names To as --to takes it.
	Target string `json:"target"`
	// From and To are positions; From is empty where none was saved.
	From string `json:"from,omitempty"`
	To   string `json:"to"`
	// Passed are the transactions that nobody will read, Transactions how many,
	// 0 where that is not known. Lost were published, and the server does not
	// have them.
	Passed       string   `json:"passed,omitempty"`
	Transactions uint64   `json:"transactions,omitempty"`
	Lost         string   `json:"lost,omitempty"`
	Foreign      string   `json:"lost_of_other_servers,omitempty"`
	Notes        []string `json:"notes,omitempty"`
	// Nothing says that the shard stands there already.
	Nothing bool `json:"nothing,omitempty"`
	// Unsure says that the process which moved it ended before it could say that
	// it had.
	Unsure bool `json:"unsure,omitempty"`
}
