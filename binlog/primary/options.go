package primary

import (
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Options say what a primary is like. The zero value is a healthy one.
type Options struct {
	// Addr is where it listens. Default 127.0.0.1:0, a free port.
	Addr string
	// ServerID of its events. Default 1.
	ServerID uint32
	// UUID is its server_uuid. Default random.
	UUID string
	// Version is what it says it is. Default 8.4.6.
	Version string
	// User and Password may connect. Default root without a password.
	User, Password string
	// NoChecksum writes the log without CRC32.
	NoChecksum bool
	// MinimalMetadata writes table maps without names, members and keys, as
	// binlog_row_metadata=MINIMAL does.
	MinimalMetadata bool
	// Compress writes each transaction as one zstd TRANSACTION_PAYLOAD.
	Compress bool
	// FileBytes is the size at which a file is rotated. Default 4 MiB.
	FileBytes int64
	// KeepBytes is how much of the finished files is kept. Default 256 MiB.
	KeepBytes int64
	// Dir, when set, holds the finished files; Close removes them. Default: memory.
	Dir string
	// Recorded are paths of binary log files that are served, read-only, before
	// what the server writes itself. Their names must not be those of its own
	// files: see FirstFile. Tagged GTIDs are refused by name.
	Recorded []string
	// FirstFile is the number of the first file. Default 1.
	FirstFile int
	// Purged is the set of GTIDs that were executed and purged before the first file.
	Purged string
	// Variables override system variables, by lower-case name: what a badly
	// configured server would answer. They do not change what is written.
	Variables map[string]string
	// Grants is what SHOW GRANTS answers. Default all on *.*.
	Grants []string
	// Now is the server's clock. Default time.Now.
	Now func() time.Time
}

// settle fills the defaults and checks everything at once.
func (o Options) settle() (Options, error) {
	var errs []error
	if o.Addr == "" {
		o.Addr = "127.0.0.1:0"
	}
	if o.ServerID == 0 {
		o.ServerID = 1
	}
	if o.UUID == "" {
		var id [16]byte
		_, _ = rand.Read(id[:]) // never fails
		o.UUID = formatUUID(id)
	} else if _, err := parseUUID(o.UUID); err != nil {
		errs = append(errs, err)
	}
	if o.Version == "" {
		o.Version = "8.4.6"
	}
	if _, err := versionNumber(o.Version); err != nil {
		errs = append(errs, err)
	}
	if o.User == "" {
		o.User = "root"
	}
	if o.FileBytes == 0 {
		o.FileBytes = 4 << 20
	}
	if o.KeepBytes == 0 {
		o.KeepBytes = 256 << 20
	}
	if o.FileBytes < 0 || o.FileBytes > 1<<30 || o.KeepBytes < 0 {
		errs = append(errs, errors.New("FileBytes must be 0 to 1 GiB, KeepBytes not negative"))
	}
	if o.FirstFile == 0 {
		o.FirstFile = 1
	}
	if len(o.Grants) == 0 {
		o.Grants = []string{fmt.Sprintf("GRANT ALL PRIVILEGES ON *.* TO `%s`@`%%` WITH GRANT OPTION", o.User)}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if err := errors.Join(errs...); err != nil {
		return o, fmt.Errorf("start primary: %w", err)
	}
	return o, nil
}

// versionNumber turns "8.4.6-x" into 80406.
func versionNumber(v string) (uint32, error) {
	base, _, _ := strings.Cut(v, "-")
	n := 0
	parts := strings.Split(base, ".")
	for i := range 3 {
		if i >= len(parts) {
			return 0, fmt.Errorf("version %q is not like 8.4.6", v)
		}
		p, err := strconv.Atoi(parts[i])
		if err != nil || p < 0 || p > 99 {
			return 0, fmt.Errorf("version %q is not like 8.4.6", v)
		}
		n = n*100 + p
	}
	return uint32(n), nil
}
