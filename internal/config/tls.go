package config

// TLS says how a connection is protected. Paths are absolute.
type TLS struct {
	// Mode is disable, skip, verify-ca or verify.
	Mode       string
	CA         string
	Cert, Key  string
	ServerName string
}
