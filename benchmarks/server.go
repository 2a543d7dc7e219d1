package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"

	_ "github.com/go-sql-driver/mysql" // the client that writes the fixtures
)

// mysqlServer is a real server with a folder of its own.
type mysqlServer struct {
	DSN     string `json:"dsn"`
	DataDir string `json:"datadir"`

	root, set string
}

// startMySQL starts a server by the script of deploy/dev. Should this process
// die, the server goes with it.
func startMySQL(ctx context.Context) (*mysqlServer, error) {
	top, err := root()
	if err != nil {
		return nil, err
	}
	// Not below a long TMPDIR: the path of a socket is bounded.
	set, err := os.MkdirTemp("", "tw-bench-")
	if err != nil {
		return nil, err
	}
	s := &mysqlServer{root: top, set: set}
	cmd := exec.CommandContext(ctx, filepath.Join(top, "deploy/dev/mysql-start"), "--dir", set, "--owner", strconv.Itoa(os.Getpid()),
		"--", "--max-binlog-size=1G",
		// Two gigabytes of rows are written once and thrown away.
		"--innodb-buffer-pool-size=256M", "--innodb-redo-log-capacity=512M", "--innodb-doublewrite=OFF", "--innodb-flush-log-at-trx-commit=0")
	cmd.Stderr = os.Stderr
	line, err := cmd.Output()
	if err == nil {
		err = json.Unmarshal(line, s)
	}
	if err != nil {
		s.stop()
		return nil, fmt.Errorf("start a MySQL server: %w", err)
	}
	return s, nil
}

// stop ends the server and removes its folder.
func (s *mysqlServer) stop() {
	_ = exec.Command(filepath.Join(s.root, "deploy/dev/mysql-stop"), s.set).Run() // its watcher does it otherwise
	_ = os.RemoveAll(s.set)
}
