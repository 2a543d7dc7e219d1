# The trees that hold MariaDB; sourced after lib.sh, never run. MySQL's packages
# and MariaDB's exclude each other, hence trees of their own. That of 11.8 holds
# DuckDB and Valkey too.

series=11.8

# use_series SERIES: the MariaDB that is meant from here on.
use_series() {
	case $1 in
	11.8 | 10.11) series=$1 ;;
	*) usage_error "--series wants 11.8 or 10.11, got '$1'" ;;
	esac
}

# use_mariadb: unpacks the tree when it is not there, and sets `mariadb_tree`
# and `loader`.
use_mariadb() {
	local name=mariadb-tree release=sid probe=usr/lib/mysql/plugin/file_key_management.so
	local packages=mariadb-server,mariadb-server-core,mariadb-client-core,duckdb,valkey-server,libc-bin
	if [ "$series" = 10.11 ]; then
		name=mariadb-10.11-tree release=bookworm packages=mariadb-server,mariadb-server-core,libc-bin
	fi
	mariadb_tree=$cache/$name
	[ -e "$mariadb_tree/$probe" ] || locked "$name" unpack_tree "$name" "$probe" "$packages" "$release"
	loader "$mariadb_tree"
}

# use_mariadbd: sets `mariadbd` (the words that run it) and `mariadb_version`.
use_mariadbd() {
	use_mariadb
	# Before 11 the files and folders were called as MySQL's are.
	mariadb_share=$mariadb_tree/usr/share/mariadb mariadb_sql=mariadb
	[ -d "$mariadb_share" ] || { mariadb_share=$mariadb_tree/usr/share/mysql mariadb_sql=mysql; }
	mariadbd=("${loader[@]}" --argv0 "$mariadb_tree/usr/sbin/mariadbd" "$mariadb_tree/usr/sbin/mariadbd" --no-defaults
		--basedir="$mariadb_tree/usr" --lc-messages-dir="$mariadb_share"
		--character-sets-dir="$mariadb_share/charsets" --plugin-dir="$mariadb_tree/usr/lib/mysql/plugin")
	[ "$(id -u)" != 0 ] || mariadbd+=(--user=root)
	mariadb_version=$("${mariadbd[@]}" --version | sed -n 's/.*Ver \([^ ]*\).*/\1/p')
	[ -n "$mariadb_version" ] || missing "a working mariadbd" "remove $mariadb_tree and run $here/mariadb-tree"
}

# use_mariadb_template: the data directory that every server starts as a copy of.
use_mariadb_template() {
	template=$cache/mariadb-template-$mariadb_version
	[ -d "$template" ] || locked mariadb-template make_mariadb_template "$template"
}

make_mariadb_template() {
	local template=$1 tmp
	[ -d "$template" ] && return 0
	rm -rf "$cache/mariadb-template-$series".* "$cache"/mariadb-template.tmp.*
	tmp=$(mktemp -d "$cache/mariadb-template.tmp.XXXXXX") || die "make a folder in $cache"
	local s=$mariadb_share/$mariadb_sql
	# What mariadb-install-db feeds to a server that has no tables yet.
	{
		printf '%s\n' 'CREATE DATABASE mysql;' 'USE mysql;' 'SET @auth_root_socket=NULL;'
		cat "${s}_system_tables.sql" "${s}_performance_tables.sql" "${s}_system_tables_data.sql" \
			"$mariadb_share/maria_add_gis_sp_bootstrap.sql"
	} >"$tmp/bootstrap.sql" || { rm -rf "$tmp"; die "read what makes MariaDB's system tables from $mariadb_share"; }
	mkdir "$tmp/data"
	with_progress "initialising a data directory of MariaDB $mariadb_version" bash -c 'in=$1; shift; exec "$@" <"$in"' - \
		"$tmp/bootstrap.sql" "${mariadbd[@]}" --bootstrap --datadir="$tmp/data" --max-allowed-packet=8M ||
		{ rm -rf "$tmp"; die "initialise MariaDB's data directory"; }
	mv "$tmp/data" "$template" || die "move the data directory to $template"
	rm -rf "$tmp"
}
