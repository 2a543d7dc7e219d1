# The tree that holds MariaDB, DuckDB and Valkey; sourced after lib.sh, never
# run. MySQL's packages and MariaDB's exclude each other, hence two trees.

mariadb_tree=$cache/mariadb-tree

# use_mariadb: unpacks the tree when it is not there, and sets `loader`.
use_mariadb() {
	[ -e "$mariadb_tree/usr/sbin/mariadbd" ] || locked mariadb-tree unpack_tree mariadb-tree usr/sbin/mariadbd \
		mariadb-server-core,mariadb-client-core,duckdb,valkey-server,libc-bin
	loader "$mariadb_tree"
}

# use_mariadbd: sets `mariadbd` (the words that run it) and `mariadb_version`.
use_mariadbd() {
	use_mariadb
	mariadbd=("${loader[@]}" --argv0 "$mariadb_tree/usr/sbin/mariadbd" "$mariadb_tree/usr/sbin/mariadbd" --no-defaults
		--basedir="$mariadb_tree/usr" --lc-messages-dir="$mariadb_tree/usr/share/mariadb"
		--character-sets-dir="$mariadb_tree/usr/share/mariadb/charsets" --plugin-dir="$mariadb_tree/usr/lib/mysql/plugin")
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
	rm -rf "$cache"/mariadb-template*
	tmp=$(mktemp -d "$cache/mariadb-template.tmp.XXXXXX") || die "make a folder in $cache"
	local s=$mariadb_tree/usr/share/mariadb
	# What mariadb-install-db feeds to a server that has no tables yet.
	{
		printf '%s\n' 'CREATE DATABASE mysql;' 'USE mysql;' 'SET @auth_root_socket=NULL;'
		cat "$s"/mariadb_system_tables.sql "$s"/mariadb_performance_tables.sql \
			"$s"/mariadb_system_tables_data.sql "$s"/maria_add_gis_sp_bootstrap.sql
	} >"$tmp/bootstrap.sql"
	mkdir "$tmp/data"
	with_progress "initialising a data directory of MariaDB $mariadb_version" bash -c 'in=$1; shift; exec "$@" <"$in"' - \
		"$tmp/bootstrap.sql" "${mariadbd[@]}" --bootstrap --datadir="$tmp/data" --max-allowed-packet=8M ||
		{ rm -rf "$tmp"; die "initialise MariaDB's data directory"; }
	mv "$tmp/data" "$template" || die "move the data directory to $template"
	rm -rf "$tmp"
}
