# MySQL's part of lib.sh; sourced, never run.

mysql_tree=$cache/mysql-tree

# use_mysql: unpacks the tree when it is not there, and sets `loader`,
# `mysqld` (the words that run it) and `mysql_version`.
use_mysql() {
	[ -e "$mysql_tree/usr/sbin/mysqld" ] || locked mysql-tree unpack_tree mysql-tree usr/sbin/mysqld \
		mysql-server-core,mysql-client,libc-bin,perl-base
	loader "$mysql_tree"
	mysqld=("${loader[@]}" --argv0 "$mysql_tree/usr/sbin/mysqld" "$mysql_tree/usr/sbin/mysqld" --no-defaults
		--basedir="$mysql_tree/usr" --lc-messages-dir="$mysql_tree/usr/share/mysql"
		--character-sets-dir="$mysql_tree/usr/share/mysql/charsets" --plugin-dir="$mysql_tree/usr/lib/mysql/plugin")
	# Only root has to say whose rights the server shall have.
	[ "$(id -u)" != 0 ] || mysqld+=(--user=root)
	mysql_version=$("${mysqld[@]}" --version | sed -n 's/.*Ver \([^ ]*\).*/\1/p')
	[ -n "$mysql_version" ] || missing "a working mysqld" "remove $mysql_tree and run $here/mysql-tree"
}

# initialise DATA INIT_SQL [option...]: makes a data directory.
initialise() {
	local data=$1 init=$2
	shift 2
	with_progress "initialising a data directory of MySQL $mysql_version" \
		"${mysqld[@]}" --initialize-insecure --datadir="$data" --init-file="$init" \
		--secure-file-priv=NULL --innodb-redo-log-capacity=16M "$@"
}

# use_template: initialises the data directory that every server starts as a
# copy of, once per version and content, and sets `template`, and `init` to the
# SQL that made its users.
use_template() {
	init=$(
		# root@localhost has no password and comes in by the socket only. The
		# others use TCP and caching_sha2_password.
		cat <<-'SQL'
			CREATE USER root@'%' IDENTIFIED BY 'tailwater';
			GRANT ALL ON *.* TO root@'%' WITH GRANT OPTION;
			CREATE USER repl@'%' IDENTIFIED BY 'repl';
			GRANT REPLICATION SLAVE, REPLICATION CLIENT, SELECT ON *.* TO repl@'%';
		SQL
	)
	template=$cache/mysql-template-$mysql_version-$(cksum <<<"$init" | cut -d' ' -f1)
	[ -d "$template" ] || locked mysql-template make_template "$template" "$init"
}

make_template() {
	local template=$1 init=$2 tmp
	[ -d "$template" ] && return 0
	rm -rf "$cache"/mysql-template*
	tmp=$(mktemp -d "$cache/mysql-template.tmp.XXXXXX") || die "make a folder in $cache"
	printf '%s\n' "$init" >"$tmp/init.sql"
	initialise "$tmp/data" "$tmp/init.sql" || { rm -rf "$tmp"; die "initialise MySQL's data directory"; }
	# A server_uuid belongs to one server; each copy makes its own.
	rm -f "$tmp/data/auto.cnf"
	mv "$tmp/data" "$template" || die "move the data directory to $template"
	rm -rf "$tmp"
}

# mysql_sql DIR: runs the SQL on stdin as root on the server in DIR.
mysql_sql() {
	"${loader[@]}" "$mysql_tree/usr/bin/mysql" --no-defaults --character-sets-dir="$mysql_tree/usr/share/mysql/charsets" \
		--connect-timeout=10 --skip-column-names --batch -uroot -S "$1/mysql.sock"
}
