package binlog

import (
	"fmt"
	"strings"
)

// Finding is one reason why a server cannot be followed as it is.
type Finding struct {
	// Check is the setting or privilege, such as binlog_row_image.
	Check string
	// Got is what the server has, Want what is needed.
	Got, Want string
	// Fix is the SQL statement or the line of my.cnf that mends it.
	Fix string
}

// PreflightError lists everything that keeps a server from being followed.
type PreflightError struct {
	Shard    string
	Findings []Finding
}

// Error lists every finding, one to a line, each with its way out.
func (e *PreflightError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "shard %s: the server is not ready to be followed:", e.Shard)
	for _, f := range e.Findings {
		fmt.Fprintf(&b, "\n  %s is %s, want %s: %s", f.Check, f.Got, f.Want, f.Fix)
	}
	return b.String()
}
