package config

import (
	"net/url"
	"regexp"
	"strings"
	"unicode"
)

// bucketName is what S3 takes for the name of a bucket.
var bucketName = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)

// maxPrefix leaves the rest of a key's 1,024 bytes to the lake.
const maxPrefix = 256

// s3Keys are the keys of the lake that speak of S3 alone.
var s3Keys = []string{"region", "endpoint", "path_style", "sse", "kms_key"}

// lakeURL resolves where the lake's URL leads to.
func (l *loader) lakeURL(c *Lake, r *ResolvedLake) {
	const at = "lake.url"
	if strings.HasPrefix(c.URL, "s3://") {
		r.S3 = l.lakeBucket(c)
		return
	}
	r.Dir = l.lakeDir(at, c.URL)
	for _, key := range s3Keys {
		if l.has("lake."+key) && r.Dir != "" {
			l.at("lake."+key, "no-effect", "%s has no effect: the lake is in a local directory", key).Suggestion = "remove it, or write url: s3://bucket/prefix"
		}
	}
}

// lakeDir returns the directory that the lake's URL names.
func (l *loader) lakeDir(at, text string) string {
	scheme, rest, ok := strings.Cut(text, "://")
	switch {
	case !ok:
		f := l.at(at, "bad-url", "%q is no URL", text)
		f.Fix = "file://" + text
		if !strings.HasPrefix(text, "/") && !strings.HasPrefix(text, ".") {
			f.Fix = "file://./" + text
		}
		f.Suggestion = "did you mean `" + f.Fix + "`?"
	case scheme == "gs" || scheme == "az" || scheme == "hdfs":
		l.at(at, "not-supported-yet", "a lake cannot be at %s://: write s3:// or file://", scheme).Suggestion = "not supported yet"
	case scheme != "file":
		l.at(at, "bad-url", "a lake's URL begins with s3:// or file://")
	case rest == "" || rest[0] != '/' && rest != "." && rest != ".." && !strings.HasPrefix(rest, "./") && !strings.HasPrefix(rest, "../"):
		l.at(at, "bad-url", "%q names a host before its path", text).Suggestion = "write file:///absolute/path or file://./path"
	case strings.ContainsAny(rest, "?#\x00"):
		l.at(at, "bad-url", "the path of a lake cannot have ?, # or NUL in it")
	default:
		return l.doc.abs(rest)
	}
	return ""
}

// lakeBucket returns the place in a bucket that the lake's URL and the keys
// beside it name.
func (l *loader) lakeBucket(c *Lake) *ResolvedS3 {
	const at = "lake.url"
	bucket, prefix, _ := strings.Cut(strings.TrimPrefix(c.URL, "s3://"), "/")
	prefix = strings.TrimSuffix(prefix, "/")
	switch {
	case strings.Contains(bucket, "@"):
		l.at(at, "bad-url", "credentials do not belong into the URL of a lake").Suggestion = "put them into AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or use a role"
	case !bucketName.MatchString(bucket) || strings.Contains(bucket, ".."):
		l.at(at, "bad-url", "%q is no name of a bucket: 3 to 63 small letters, digits, - and .", bucket).Suggestion = "write s3://bucket/prefix"
	case prefix != "" && !goodPrefix(prefix):
		l.at(at, "bad-url", "%q cannot be the prefix of a lake: write parts with a slash between, without ?, #, \\ and control characters, at most %d bytes in all", prefix, maxPrefix)
	}
	if c.Endpoint != "" {
		l.endpoint("lake.endpoint", c.Endpoint)
	}
	if l.has("lake.kms_key") && l.known("lake.sse") && c.SSE != "kms" {
		l.at("lake.kms_key", "no-effect", "kms_key has no effect with sse: %s", c.SSE).Suggestion = "set sse: kms"
	}
	return &ResolvedS3{Bucket: bucket, Prefix: prefix, Region: c.Region, Endpoint: strings.TrimSuffix(c.Endpoint, "/"), PathStyle: c.PathStyle, SSE: c.SSE, KMSKey: c.KMSKey}
}

func goodPrefix(prefix string) bool {
	for part := range strings.SplitSeq(prefix, "/") {
		if part == "" || part == "." || part == ".." {
			return false
		}
	}
	return len(prefix) <= maxPrefix && !strings.ContainsAny(prefix, `?#\`) && !strings.ContainsFunc(prefix, unicode.IsControl)
}

// endpoint checks the URL of an S3. Its findings never quote it.
func (l *loader) endpoint(at, text string) {
	const form = "write https://host or https://host:port"
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "":
		l.at(at, "bad-url", "this is no URL of an S3: %s", form)
	case u.User != nil:
		l.at(at, "bad-url", "credentials do not belong into the URL of an S3").Suggestion = "put them into AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or use a role"
	case strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "":
		l.at(at, "bad-url", "the URL of an S3 has nothing behind its host: %s", form).Suggestion = "the bucket and the prefix are in lake.url"
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		l.warn(at, "plain-text", "every row goes over the network in plain text").Suggestion = "use https://"
	}
}
