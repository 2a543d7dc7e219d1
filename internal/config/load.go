package config

// Lookup returns the value of an environment variable, and whether it is set:
// os.LookupEnv in a process.
type Lookup func(name string) (string, bool)

// Load reads a file for a pipeline that is to run: variables are looked up and
// files of secrets read. The Config is nil when any finding is an error.
func Load(path string, env Lookup) (*Config, Findings) { return nil, nil }

// Parse is Load of bytes that stand in no file; file is the name for findings,
// and its directory is where relative paths start.
func Parse(file string, data []byte, env Lookup) (*Config, Findings) { return nil, nil }

// Lint checks a file without a machine: no variable is looked up, no secret
// read, nothing connected to.
func Lint(path string) Findings { return nil }

// LintBytes is Lint of bytes that stand in no file.
func LintBytes(file string, data []byte) Findings { return nil }
