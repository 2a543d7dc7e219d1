# Shared by the scripts beside it; sourced, never run.
#
# A set is a folder that holds one sub-folder per server: 00, 01, ... Each
# server's folder holds
#
#   command      the command line, one argument per line, to start it again
#   pid          "<pid> <start time of that process>"; so a number that the
#                system has given to somebody else is never signalled
#   server.json  the line that the start script prints
#   log, log.1   what the server says, bounded by bounded-log
#   data/        its data
#
# Exit codes: 0 done, 1 failed, 2 wrong usage, 3 something is missing here and
# the last lines on stderr name it and the way out.

set -euo pipefail
umask 077
unset LD_LIBRARY_PATH LD_PRELOAD
export LC_ALL=C

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
prog=$(basename "$0")
cache_home=${XDG_CACHE_HOME:-}
[ -n "$cache_home" ] || cache_home=$(cd ~ && pwd)/.cache
cache=$cache_home/tailwater
started=()   # server folders that this run has started, for clean_up

say() { printf '%s: %s\n' "$prog" "$*" >&2; }
die() { say "$*"; exit 1; }
usage_error() { say "$*"; say "run $prog --help"; exit 2; }
# missing WHAT WAY_OUT: names what is not here and how to get it.
missing() { say "missing: $1"; say "way out: $2"; exit 3; }

# number NAME VALUE: VALUE is a whole number, or the run ends.
number() { [[ $2 =~ ^[0-9]{1,9}$ ]] || usage_error "$1 wants a number, got '$2'"; }

# help FILE: prints the comment that FILE opens with.
help() { sed -n '2,/^[^#]/{s/^# \{0,1\}//p}' "$1"; }

# json_text TEXT: TEXT as a JSON string. Paths are all that comes here.
json_text() { local s=${1//\\/\\\\}; printf '"%s"' "${s//\"/\\\"}"; }

# locked NAME COMMAND...: runs COMMAND while holding the cache's lock NAME. The
# lock is closed for the command's own children, so a server never inherits it.
# COMMAND checks each of its steps: `set -e` does not hold inside.
locked() {
	local name=$1 fd rc=0; shift
	mkdir -p "$cache"
	exec {fd}>"$cache/$name.lock"
	if ! flock -n "$fd"; then
		say "another run prepares $name; waiting for it"
		flock -w 900 "$fd" || die "waited 15 minutes for $cache/$name.lock"
	fi
	"$@" {fd}>&- || rc=$?
	exec {fd}>&-
	return $rc
}

# with_progress TEXT COMMAND...: runs COMMAND with its output kept aside, says
# every 10 s that it goes on, and shows the end of the output when it fails.
with_progress() {
	local text=$1 out pid rc=0 from=$SECONDS next=10; shift
	out=$(mktemp)
	say "$text"
	"$@" >"$out" 2>&1 </dev/null &
	pid=$!
	while kill -0 "$pid" 2>/dev/null; do
		sleep 0.2
		if [ $((SECONDS - from)) -ge "$next" ]; then
			say "$text: $next s so far"
			next=$((next + 10))
		fi
	done
	wait "$pid" || rc=$?
	[ "$rc" = 0 ] || { tail -n 25 "$out" >&2; say "$text: failed with code $rc"; }
	rm -f "$out"
	return $rc
}

# unpack_tree NAME PROBE PACKAGES [RELEASE]: unpacks packages of a release of
# Debian (sid) into $cache/NAME, whole or not at all. PROBE is a file that a
# whole tree has.
unpack_tree() {
	local name=$1 probe=$2 packages=$3 release=${4:-sid} tree=$cache/$1 tmp
	[ -e "$tree/$probe" ] && return 0
	"$here/tools" mmdebstrap || exit $?
	rm -rf "$cache/$name".tmp.*
	tmp=$(mktemp -d "$cache/$name.tmp.XXXXXX") || die "make a folder in $cache"
	chmod 755 "$tmp"
	if ! with_progress "unpacking $packages from Debian $release (about 400 MB, 10 s to 3 minutes)" \
		mmdebstrap --aptopt='Acquire::Check-Valid-Until "false"' --aptopt='Acquire::Retries "3"' \
		--variant=extract --include="$packages" "$release" "$tmp/tree" ${TAILWATER_DEBIAN_MIRROR:+"$TAILWATER_DEBIAN_MIRROR"}; then
		rm -rf "$tmp"
		missing "$name (Debian $release packages $packages)" \
			"check the network or name another mirror in TAILWATER_DEBIAN_MIRROR, then run $here/$prog again"
	fi
	if [ ! -e "$tmp/tree/$probe" ]; then
		rm -rf "$tmp"
		missing "$probe in the packages $packages" "Debian $release has moved; adapt the package list in $here/$prog"
	fi
	rm -rf "$tree"
	mv "$tmp/tree" "$tree" || die "move the unpacked tree to $tree"
	rmdir "$tmp"
}

# loader TREE: sets the array `loader` to the words that run a program of TREE
# with TREE's own dynamic loader and libraries. The program sees the host's
# files, needs no chroot and no root.
loader() {
	local tree=$1 so
	# Releases before trixie have their libraries in /lib and not in /usr/lib.
	for so in "$tree"/usr/lib64/ld-linux-x86-64.so.2 "$tree"/usr/lib/ld-linux-aarch64.so.1 "$tree"/usr/lib/*/ld-linux-*.so.* \
		"$tree"/lib64/ld-linux-x86-64.so.2 "$tree"/lib/ld-linux-aarch64.so.1 "$tree"/lib/*/ld-linux-*.so.*; do
		[ -e "$so" ] && break
	done
	[ -e "$so" ] || missing "the dynamic loader of $tree" "remove $tree and run $here/$prog again"
	local libs
	libs=$(printf '%s:' "$tree"/usr/lib/*-linux-gnu "$tree"/lib/*-linux-gnu)
	loader=("$so" --library-path "$libs$tree/usr/lib/mysql/private")
}

# start_time PID: the process's start time in clock ticks since boot, or nothing.
start_time() {
	local stat
	{ stat=$(<"/proc/$1/stat"); } 2>/dev/null || return 0
	stat=${stat##*) }
	set -- $stat
	# A zombie is dead for everybody but its parent, once its threads are gone.
	[[ $1 = [ZX] && ${18} -le 1 ]] || printf '%s' "${20}"
}

# live_pid DIR: prints the pid of the server in DIR when it still runs.
live_pid() {
	local pid at
	[ -r "$1/pid" ] && read -r pid at <"$1/pid" || return 1
	[ -n "$at" ] && [ "$(start_time "$pid")" = "$at" ] && printf '%s' "$pid"
}

# launch DIR: starts DIR/command in a session of its own and waits until
# DIR/pid names it, not until it serves.
launch() {
	local dir=$1
	started+=("$dir")
	rm -f "$dir/pid"
	: >"$dir/log"
	setsid "$here/server-run" "$dir" </dev/null >/dev/null 2>&1 &
	disown $!
	for _ in $(seq 500); do
		[ -e "$dir/pid" ] && return
		sleep 0.02
	done
	die "start the server in $dir: it has not begun after 10 s"
}

# await_log DIR TEXT SECONDS: waits until the server in DIR has written TEXT.
# Fails when the server ends or the time is over.
await_log() {
	local dir=$1 text=$2 until=$((SECONDS + $3)) next=$((SECONDS + 10))
	until grep -qE -- "$text" "$dir/log" 2>/dev/null; do
		live_pid "$dir" >/dev/null || { grep -qE -- "$text" "$dir/log"; return; }
		[ $SECONDS -lt $until ] || return 1
		[ $SECONDS -lt $next ] || { say "still waiting for $dir"; next=$((SECONDS + 10)); }
		sleep 0.05
	done
}

# watch OWNER DIR...: hands the servers in DIR... to server-watch.
watch() {
	local owner=$1 dir args=(); shift
	for dir in "$@"; do args+=("$dir" "$(cat "$dir/pid" 2>/dev/null)"); done
	setsid "$here/server-watch" "$owner" "${args[@]}" </dev/null >/dev/null 2>&1 &
	disown $!
}

# port_busy PORT: whether anything listens on PORT.
port_busy() { grep -qiE "^ *[0-9]+: [0-9A-F]+:$(printf '%04X' "$1") [0-9A-F:]+ 0A" /proc/net/tcp /proc/net/tcp6 2>/dev/null; }

# listens PID PORT: whether that very process listens on PORT.
listens() {
	local inode fd
	inode=$(awk -v at=":$(printf '%04X' "$2")" '$2 ~ at "$" && $4 == "0A" { print $10; exit }' /proc/net/tcp)
	[ -n "$inode" ] || return 1
	for fd in "/proc/$1/fd"/*; do
		[ "$(readlink "$fd")" != "socket:[$inode]" ] || return 0
	done
	return 1
}

# free_port: a port that nothing listens on, below the range that the system
# gives to clients. Another process may still be faster: retry when it was.
free_port() {
	local port
	for _ in $(seq 200); do
		port=$((13000 + (RANDOM * 32768 + RANDOM) % 19000))
		port_busy "$port" || { printf '%s' "$port"; return; }
	done
	die "no free port between 13000 and 32000"
}

# next_name SET: makes and prints the name of the next server's folder in SET.
next_name() {
	local i name
	for i in $(seq 0 999); do
		name=$(printf '%02d' "$i")
		mkdir "$1/$name" 2>/dev/null && { printf '%s' "$name"; return; }
	done
	die "no free name in $1"
}

# new_set DIR: prints the absolute path of a set's folder; a temporary one when
# DIR is empty.
new_set() {
	if [ -n "$1" ]; then
		mkdir -p "$1" && (cd "$1" && pwd)
	else
		mktemp -d "${TMPDIR:-/tmp}/tailwater.XXXXXX"
	fi
}

# servers_in PATH...: prints the server folders: PATH itself, or those in the set PATH.
servers_in() {
	local p d found
	for p in "$@"; do
		found=
		[ -e "$p/command" ] && { printf '%s\n' "$p"; continue; }
		for d in "$p"/*/; do
			[ -e "$d/command" ] && { printf '%s\n' "${d%/}"; found=1; }
		done
		[ -n "$found" ] || say "no server in $p"
	done
}

# await_end SECONDS DIR...: waits until no server in DIR... runs.
await_end() {
	local until=$((SECONDS + $1)) dir; shift
	for dir in "$@"; do
		while live_pid "$dir" >/dev/null; do
			[ $SECONDS -lt $until ] || return 1
			sleep 0.05
		done
	done
}

# stop_servers ASK DIR...: ends the servers in DIR...: first `ASK DIR`, then
# SIGTERM, then SIGKILL, each only while the very process that was started is
# still there.
stop_servers() {
	local ask=$1 dir pid; shift
	for dir in "$@"; do
		live_pid "$dir" >/dev/null && { "$ask" "$dir" >/dev/null 2>&1 || true; } &
	done
	wait
	await_end 30 "$@" || {
		for dir in "$@"; do pid=$(live_pid "$dir") && { say "SIGTERM to $dir"; kill -TERM "$pid"; }; done
		await_end 15 "$@" || {
			for dir in "$@"; do pid=$(live_pid "$dir") && { say "SIGKILL to $dir"; kill -KILL "$pid"; }; done
			await_end 10 "$@" || die "a server does not end: $*"
		}
	}
	for dir in "$@"; do rm -f "$dir/pid"; done
}

# clean_up ends what a failed or interrupted start has left; for traps.
clean_up() {
	local dir pid
	for dir in "${started[@]}"; do
		pid=$(live_pid "$dir") && kill -KILL "$pid" 2>/dev/null
	done
	return 0
}

# stop_main ASK ARGS...: the body of the scripts *-stop.
stop_main() {
	local ask=$1 remove= paths=() dirs p; shift
	while [ $# -gt 0 ]; do
		case $1 in
		--help | -h) help "$0"; exit 0 ;;
		--remove) remove=1 ;;
		-*) usage_error "unknown option $1" ;;
		*) paths+=("$1") ;;
		esac
		shift
	done
	[ ${#paths[@]} -gt 0 ] || usage_error "name the folder of a server or of a set"
	mapfile -t dirs < <(servers_in "${paths[@]}")
	[ ${#dirs[@]} -eq 0 ] || stop_servers "$ask" "${dirs[@]}"
	[ -z "$remove" ] || for p in "${paths[@]}"; do
		# Only folders that hold nothing but servers are ours to remove.
		[ -e "$p/command" ] || [ -z "$(find "$p" -mindepth 1 -maxdepth 1 ! -name '[0-9][0-9]*')" ] ||
			die "remove $p: it holds more than servers"
		rm -rf "$p"
	done
}

# redis_program prints the path of a program that is redis-server when it is
# called by that name. Debian's redis-tools has it under another name.
redis_program() { command -v redis-server || command -v redis-check-rdb || true; }

# json_field DIR NAME: a number or plain text out of DIR/server.json.
json_field() { sed -n "s/.*\"$2\":\"\{0,1\}\([^\",}]*\).*/\1/p" "$1/server.json"; }
