package testenv

import (
	"fmt"
	"path/filepath"
	"syscall"
	"time"
)

// EndServers kills the servers that the scripts of deploy/dev have started in
// sets right below dir and returns the folders of those that still ran. The
// runner of `make test` calls it for its own temporary folder.
func EndServers(dir string) (ended []string, err error) {
	pids, err := filepath.Glob(filepath.Join(dir, "*", "[0-9][0-9]*", "pid"))
	if err != nil {
		return nil, fmt.Errorf("find servers in %s: %w", dir, err)
	}
	var left []*Server
	for _, file := range pids {
		s := &Server{Dir: filepath.Dir(file)}
		if pid, ok := s.running(); ok {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				return ended, fmt.Errorf("end the server in %s: %w", s.Dir, err)
			}
			ended = append(ended, s.Dir)
			left = append(left, s)
		}
	}
	for until := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		for len(left) > 0 {
			if _, ok := left[0].running(); ok {
				break
			}
			left = left[1:]
		}
		if len(left) == 0 {
			return ended, nil
		}
		if time.Now().After(until) {
			return ended, fmt.Errorf("end the server in %s: it is still there 20 s after SIGKILL", left[0].Dir)
		}
	}
}
