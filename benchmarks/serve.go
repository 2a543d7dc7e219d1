package main

import (
	"fmt"
	"os"

	"github.com/twmb/franz-go/pkg/kfake"

	"tailwater/binlog/primary"
)

// service is what the parent runs for the arms while they are measured.
type service struct {
	addr  string
	parts []string
	ends  []func()
}

// close ends it.
func (s *service) close() {
	for _, end := range s.ends {
		end()
	}
}

// The account of the servers that serve a recording.
const user, password = "bench", "bench"

// primary starts a server that serves a recorded file, and returns its address.
func (s *service) primary(path string) (string, error) {
	server, err := primary.Start(primary.Options{Recorded: []string{path}, FirstFile: 2, User: user, Password: password, ServerID: uint32(77 + len(s.ends))})
	if err != nil {
		return "", fmt.Errorf("serve %s: %w", path, err)
	}
	s.ends = append(s.ends, func() { _ = server.Close() })
	return server.Addr(), nil
}

// serveRecording serves the recording by one server.
func serveRecording(r *recording) (*service, error) {
	s := new(service)
	var err error
	s.addr, err = s.primary(r.path)
	return s, err
}

// serveParts serves the recording by one server, and once more by servers that
// have a part of it each.
func serveParts(r *recording) (s *service, err error) {
	if s, err = serveRecording(r); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	dir, err := os.MkdirTemp("", "tw-bench-parts-")
	if err != nil {
		return nil, err
	}
	paths, err := split(r.path, dir, shards)
	for _, path := range paths {
		var addr string
		if addr, err = s.primary(path); err != nil {
			break
		}
		s.parts = append(s.parts, addr)
	}
	s.ends = append(s.ends, func() { _ = os.RemoveAll(dir) })
	return s, err
}

// serveBroker serves an empty Kafka cluster of one broker, in memory.
func serveBroker(*recording) (*service, error) {
	broker, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		return nil, err
	}
	return &service{addr: broker.ListenAddrs()[0], ends: []func(){broker.Close}}, nil
}
