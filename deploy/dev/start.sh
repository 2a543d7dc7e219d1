# What mysql-start, mariadb-start, redis-start, s3-start and kafka-start have in
# common; sourced by them after lib.sh, never run. The script that sources it
# defines
#
#   kind                       mysql, mariadb, redis, s3 or kafka
#   serving                    what a server writes when it serves (extended regexp)
#   use_programs               gets the programs, sets `version`
#   make_data DIR              fills DIR with what a new server needs
#   write_command DIR ID PORT  writes DIR/command
#   details DIR ID PORT        the JSON members of this kind, each after a comma
#   before_again DIR           (may do nothing) removes what a killed server left
#   after_start DIR            (may do nothing) runs when the server serves
#   await_serving DIR PORT     (may be left out) waits until the server serves
#   after_set PORT...          (may do nothing) runs when all of them serve
#
# and calls start_main "$@". extra_option NAME VALUE takes an option of its own,
# switch NAME one that has no value, or fails when it is none of those.

shards=1 set_dir= port=0 server_id=101 owner=0 again=
options=()
extra_option() { usage_error "unknown option $1"; }
switch() { return 1; }
before_again() { :; }
after_start() { :; }
await_serving() { await_log "$1" "$serving" 180; }
after_set() { :; }

start_options() {
	while [ $# -gt 0 ]; do
		case $1 in
		--help | -h) help "$0"; exit 0 ;;
		--) shift; options=("$@"); return ;;
		--shards) number "$1" "${2:-}"; shards=$2 ;;
		--dir) set_dir=${2:?--dir wants a folder} ;;
		--port) number "$1" "${2:-}"; port=$2 ;;
		--server-id) number "$1" "${2:-}"; server_id=$2 ;;
		--owner) number "$1" "${2:-}"; owner=$2 ;;
		--again) again=${2:?--again wants the folder of a server} ;;
		*)
			if switch "$1"; then shift; continue; fi
			extra_option "$1" "${2:-}"
			;;
		esac
		shift 2
	done
	[ "$shards" -gt 0 ] || usage_error "--shards wants 1 or more"
}

# start_failed DIR: says why the server in DIR does not serve, and ends the run.
start_failed() {
	grep -E 'ERROR|FATAL|# |Exception: ' "$1/log" | tail -n 5 >&2 || tail -n 5 "$1/log" >&2
	die "$kind in $1 does not serve; its whole log is $1/log"
}

# describe DIR ID PORT: writes DIR/server.json and prints it.
describe() {
	local pid
	pid=$(live_pid "$1") || start_failed "$1"
	printf '{"kind":"%s","name":"%s","host":"127.0.0.1","port":%d,"server_id":%d,"version":%s,"pid":%d,"dir":%s,"log":%s%s}\n' \
		"$kind" "${1##*/}" "$3" "$2" "$(json_text "$version")" "$pid" "$(json_text "$1")" "$(json_text "$1/log")" \
		"$(details "$@")" >"$1/server.json"
	cat "$1/server.json"
}

# start_again DIR: starts a server that has ended, from its own folder.
start_again() {
	[ -e "$1/command" ] || die "start $1 again: no server was started there"
	local dir
	dir=$(cd "$1" && pwd)
	await_end 5 "$dir" || die "start $dir again: it still runs"
	before_again "$dir"
	launch "$dir"
	await_serving "$dir" "$(json_field "$dir" port)" || start_failed "$dir"
	describe "$dir" "$(json_field "$dir" server_id)" "$(json_field "$dir" port)"
}

# start_set starts the servers of one call at the same time and then waits for each.
start_set() {
	local i name d p try dirs=() ports=() ids=()
	set_dir=$(new_set "$set_dir")
	# A socket's path ends at 107 characters.
	[ ${#set_dir} -le 85 ] || die "the folder $set_dir is too long for the path of a socket; name a shorter one with --dir"
	for i in $(seq 0 $((shards - 1))); do
		p=$((port + i))
		if [ "$port" = 0 ]; then
			p=$(free_port)
		elif port_busy "$p"; then
			die "port $p is taken; name another with --port, or 0 for free ones"
		fi
		name=$(next_name "$set_dir")
		d=$set_dir/$name
		make_data "$d"
		dirs+=("$d")
		ids+=($((server_id + 10#$name)))
		ports+=("$p")
		write_command "$d" "${ids[i]}" "$p"
		launch "$d"
	done
	for i in "${!dirs[@]}"; do
		d=${dirs[i]}
		for try in 1 2 3 4 5; do
			await_serving "$d" "${ports[i]}" && break
			# Somebody took the free port in the meantime: take another.
			[ "$port" = 0 ] && [ "$try" -lt 5 ] && grep -qi 'address already in use' "$d/log" || start_failed "$d"
			ports[i]=$(free_port)
			write_command "$d" "${ids[i]}" "${ports[i]}"
			launch "$d"
		done
		after_start "$d" || start_failed "$d"
	done
	after_set "${ports[@]}"
	for i in "${!dirs[@]}"; do describe "${dirs[i]}" "${ids[i]}" "${ports[i]}"; done
}

start_main() {
	start_options "$@"
	use_programs
	trap clean_up EXIT
	trap 'exit 130' INT TERM HUP
	if [ -n "$again" ]; then start_again "$again"; else start_set; fi
	trap - EXIT
	mapfile -t started < <(printf '%s\n' "${started[@]}" | sort -u)
	watch "$owner" "${started[@]}"
}
