package kafka

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"tailwater/stream"
)

var (
	errNoAnswer = errors.New("no broker answered in time")
	errOverdue  = errors.New("the brokers have ended a transaction that was open for too long: this process or the way to the brokers stood still")
)

// explained is an error that names the brokers, and once hinted what to do.
type explained struct {
	error
	hinted bool
}

// Unwrap returns the error as it was explained.
func (e *explained) Unwrap() error { return e.error }

// explain adds to an error of the client library the brokers and what to do
// about it, each unless it is said already.
func (l *Log) explain(what string, err error) error {
	var inner *explained
	place, known := " at "+strings.Join(l.o.Brokers, ","), false
	if errors.As(err, &inner) {
		place, known = "", inner.hinted
	}
	if hint := l.hint(err); hint != "" && !known {
		return &explained{fmt.Errorf("%s%s: %w: %s", what, place, err, hint), true}
	}
	return &explained{fmt.Errorf("%s%s: %w", what, place, err), known}
}

// hint says what a person can do about an error, or nothing.
func (l *Log) hint(err error) string {
	var eof *kgo.ErrFirstReadEOF
	var record tls.RecordHeaderError
	var authority x509.UnknownAuthorityError
	var host x509.HostnameError
	var dial *net.OpError
	switch {
	case errors.Is(err, kerr.SaslAuthenticationFailed):
		return fmt.Sprintf("the brokers refuse the account %q: check stream.sasl.user, password and mechanism", l.o.SASL.User)
	case errors.Is(err, kerr.UnsupportedSaslMechanism):
		return fmt.Sprintf("the listener does not offer %s: set stream.sasl.mechanism to one that it has", l.o.SASL.Mechanism)
	case errors.Is(err, kerr.IllegalSaslState):
		return "the listener wants no account, or another one first: check the port, and stream.sasl"
	case errors.As(err, &authority):
		return "the certificate is of an authority that is not trusted here: set stream.connect.ca to its certificate"
	case errors.As(err, &host):
		return "the certificate is for another name: set stream.connect.server_name to the name that it carries"
	case errors.As(err, &record):
		return "the port does not speak TLS: set stream.connect.tls to disable, or use the port of the TLS listener"
	case errors.As(err, &eof):
		return "the broker hung up at once: check whether the port wants TLS (stream.connect.tls) and an account (stream.sasl)"
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return "the connection broke: see whether the broker has ended or was restarted; where none ever worked, check whether the port wants TLS (stream.connect.tls) and an account (stream.sasl)"
	case errors.Is(err, kerr.TopicAuthorizationFailed), errors.Is(err, kerr.ClusterAuthorizationFailed):
		return fmt.Sprintf("the account may not: allow Create, Describe, DescribeConfigs, AlterConfigs, Read and Write on topics with the prefix tw.%s.", l.o.Name)
	case errors.Is(err, kerr.TransactionalIDAuthorizationFailed):
		return fmt.Sprintf("the account may not: allow Write and Describe on transactional ids with the prefix tw.%s.", l.o.Name)
	case errors.Is(err, kerr.GroupAuthorizationFailed):
		return fmt.Sprintf("the account may not: allow Read on groups with the prefix tw.%s.", l.o.Name)
	case errors.Is(err, kerr.InvalidReplicationFactor):
		return "the cluster has fewer brokers than stream.replication, or than its own default: lower it, or start more brokers"
	case errors.As(err, &dial) && dial.Op == "read":
		return "something listens there and does not answer: check whether the port wants TLS (stream.connect.tls) and an account (stream.sasl)"
	case errors.Is(err, errNoAnswer), errors.As(err, &dial):
		return "check stream.brokers, and that the brokers run and can be reached from here"
	}
	return ""
}

// unavailable wraps the errors that brokers mend by themselves, such as that a
// partition, of a topic which has just been made perhaps, has no leader.
func unavailable(err error) error {
	if err != nil && kerr.IsRetriable(err) {
		return fmt.Errorf("%w: %w", stream.ErrUnavailable, err)
	}
	return err
}

// fenced wraps the errors by which brokers refuse a session that another one
// has replaced.
func fenced(err error) error {
	for _, k := range []error{kerr.ProducerFenced, kerr.InvalidProducerEpoch} {
		if errors.Is(err, k) {
			return fmt.Errorf("%w: %w", stream.ErrFenced, err)
		}
	}
	return err
}
