package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/pflag"

	"tailwater/internal/config"
)

// serverFlags name one server: by a URL, or as a shard of a configuration.
type serverFlags struct {
	source, shard, passwordFile string
	tls                         config.TLS
}

func (s *serverFlags) register(f *pflag.FlagSet) {
	f.StringVar(&s.source, "source", "", "URL of the server, or a configuration and a shard: tailwater.yaml#03")
	f.StringVar(&s.shard, "shard", "", "what events carry as _shard (default the address); of a configuration, the shard")
	f.StringVar(&s.passwordFile, "password-file", "", "file with the password")
	f.StringVar(&s.tls.Mode, "tls", "auto", "auto, disable, skip, verify-ca or verify; auto is disable to this machine, verify to others")
	f.StringVar(&s.tls.CA, "tls-ca", "", "PEM file of the authorities to trust")
	f.StringVar(&s.tls.Cert, "tls-cert", "", "PEM file of the client's certificate")
	f.StringVar(&s.tls.Key, "tls-key", "", "PEM file of its key")
	f.StringVar(&s.tls.ServerName, "tls-server-name", "", "name that the certificate must carry, when it is not the host's")
}

// resolve returns the source and the shard that the flags name. Findings about
// a configuration are printed on stderr. Errors carry their exit code.
func (s *serverFlags) resolve(stderr io.Writer) (config.ResolvedSource, config.Shard, error) {
	fail := func(err error) (config.ResolvedSource, config.Shard, error) {
		return config.ResolvedSource{}, config.Shard{}, failWith(exitUsage, err)
	}
	switch {
	case s.source == "":
		return fail(errors.New("--source is missing: --source 'mysql://user:${MYSQL_PASSWORD}@host:3306', or a configuration and a shard"))
	case !strings.Contains(s.source, "://"):
		return s.configured(stderr)
	}
	source, err := config.ServerURL(s.source, os.LookupEnv)
	if err != nil {
		return fail(fmt.Errorf("--source: %w", err))
	}
	shard := source.Shards[0]
	if s.shard != "" {
		shard.ID = s.shard
	}
	if s.passwordFile != "" {
		if !shard.Password.IsZero() {
			return fail(errors.New("--password-file and the URL both give a password: remove one"))
		}
		if shard.Password, err = config.SecretFile(s.passwordFile); err != nil {
			return fail(fmt.Errorf("--password-file: %w", err))
		}
	}
	if shard.TLS, err = shard.Protect(s.tls); err != nil {
		return fail(err)
	}
	return source, shard, nil
}

// configured finds the shard in a configuration.
func (s *serverFlags) configured(stderr io.Writer) (source config.ResolvedSource, shard config.Shard, err error) {
	path, id, named := s.source, s.shard, s.shard != ""
	if i := strings.LastIndexByte(path, '#'); i >= 0 {
		path, id, named = path[:i], path[i+1:], true
	}
	if s.passwordFile != "" || s.tls != (config.TLS{Mode: "auto"}) {
		return source, shard, failWith(exitUsage, fmt.Errorf("--password-file and --tls… are for a URL: %s says how its servers are reached", path))
	}
	cfg, findings := config.Load(path, os.LookupEnv)
	if cfg == nil {
		if err := findings.Render(stderr, config.WantColor(stderr, os.LookupEnv)); err != nil {
			return source, shard, failWith(exitFailure, err)
		}
		return source, shard, failShown(exitUsage, fmt.Errorf("%s has errors", path))
	}
	var ids []string
	for _, source := range cfg.Resolved().Sources {
		for _, shard := range source.Shards {
			if named && shard.ID == id {
				return source, shard, nil
			}
			ids = append(ids, shard.ID)
			if !named && len(cfg.Resolved().Sources) == 1 && len(source.Shards) == 1 {
				return source, shard, nil
			}
		}
	}
	what := fmt.Sprintf("has no shard %q", id)
	if !named {
		what = "has several shards, and --source names none"
	}
	return source, shard, failWith(exitUsage, fmt.Errorf("%s %s: write %s#ID with one of %s", path, what, path, strings.Join(ids, ", ")))
}
