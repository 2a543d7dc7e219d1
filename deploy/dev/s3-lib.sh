# The S3 server of the tests, versitygw; sourced after lib.sh, never run.

s3_version=v1.8.0
s3_module=github.com/versity/versitygw/cmd/versitygw
s3_program=$cache/bin/versitygw-$s3_version

build_s3() {
	local tmp
	[ -x "$s3_program" ] && return 0
	command -v go >/dev/null || missing "go, which builds versitygw" "install Go 1.26 or later and put it on the PATH"
	mkdir -p "$cache/bin"
	tmp=$(mktemp -d "$cache/bin/tmp.XXXXXX") || die "make a folder in $cache/bin"
	if ! with_progress "building versitygw $s3_version (about a minute)" env GOBIN="$tmp" GOFLAGS= go install "$s3_module@$s3_version"; then
		rm -rf "$tmp"
		missing "versitygw $s3_version" "check the network, then run $here/$prog again"
	fi
	mv "$tmp/versitygw" "$s3_program" || die "move versitygw to $s3_program"
	rmdir "$tmp"
}

# use_s3 builds the server when it is not there.
use_s3() { locked s3 build_s3; }
