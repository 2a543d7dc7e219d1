package config

import "regexp"

// patterns are the forms that texts and names must have, with the words that
// tell a person.
var patterns = map[string]struct {
	re   *regexp.Regexp
	says string
}{
	"id": {regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]{0,62}$`),
		"a letter, then letters, digits, _ and -, at most 63 in all"},
	"shard": {regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$`),
		"letters, digits, _ and -, not first the last two, at most 63 in all"},
	"column": {regexp.MustCompile(`^[\p{L}_$][\p{L}\p{N}_$ .-]{0,127}$`),
		"a letter or _, then letters, digits and _"},
	"level": {regexp.MustCompile(`^[A-Za-z0-9_]{1,128}$`), "letters, digits and _"},
	"address": {regexp.MustCompile(`^(\[[0-9A-Fa-f:.%a-z]+\]|[A-Za-z0-9_.-]*):([0-9]{1,4}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])$`),
		"host:port, such as 127.0.0.1:8080 or [::1]:8080"},
	"prefix": {regexp.MustCompile(`^[A-Za-z0-9_.:/-]{1,64}$`),
		"1 to 64 letters, digits and _ . : / -"},
	"region":  {regexp.MustCompile(`^[a-z0-9-]{1,63}$`), "the name of a region, such as eu-central-1"},
	"kms_key": {regexp.MustCompile(`^[A-Za-z0-9:/_-]{1,512}$`), "the id, alias or ARN of a KMS key"},
	"table":   {regexp.MustCompile(`^.{1,512}$`), "at most 512 characters"},
	"uuid": {regexp.MustCompile(`^[0-9A-Fa-f]{8}-?([0-9A-Fa-f]{4}-?){3}[0-9A-Fa-f]{12}$`),
		"a UUID"},
	"interval": {regexp.MustCompile(`^([1-9][0-9]{0,18}(-[1-9][0-9]{0,18})?|[A-Za-z_][A-Za-z0-9_]{0,31})$`),
		"n or n-m"},
	"domain": {regexp.MustCompile(`^[0-9]{1,10}-[0-9]{1,10}-[1-9][0-9]{0,19}$`),
		"domain-server-sequence"},
}
