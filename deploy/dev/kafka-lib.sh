# The jars of Apache Kafka and what new servers begin with; sourced after
# lib.sh, never run.

kafka_version=${TAILWATER_KAFKA_VERSION:-4.1.0}
[[ $kafka_version =~ ^4\.[0-9]+\.[0-9]+$ ]] || usage_error "TAILWATER_KAFKA_VERSION wants a version 4.x.y, got '$kafka_version'"
kafka_tree=$cache/kafka-$kafka_version
# The account that --sasl lets in, by PLAIN and by both forms of SCRAM.
kafka_user=tailwater kafka_password=tailwater

# use_kafka: gets the jars when they are not there, and sets `java`, the words
# that run one of their classes.
use_kafka() {
	"$here/tools" java openssl || exit $?
	[ -d "$kafka_tree/libs" ] || locked "kafka-$kafka_version" fetch_kafka
	# A path for each jar, in a fixed order: the archive of classes asks for that.
	java=(java -Xmx384m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -XX:-UsePerfData -Xlog:disable -Xlog:all=error:stderr
		-Djava.net.preferIPv4Stack=true -Djava.awt.headless=true -Dlog4j2.configurationFile="$here/kafka-log4j2.properties"
		-cp "$(printf '%s:' "$kafka_tree"/libs/*.jar)")
}

# fetch_kafka: gets the jars of Kafka and all that they need by Maven, whole or
# not at all.
fetch_kafka() {
	local tmp
	[ -d "$kafka_tree/libs" ] && return 0
	"$here/tools" maven || exit $?
	rm -rf "$kafka_tree".tmp.*
	tmp=$(mktemp -d "$kafka_tree.tmp.XXXXXX") || die "make a folder in $cache"
	write_pom >"$tmp/pom.xml" || die "write $tmp/pom.xml"
	if ! with_progress "getting Apache Kafka $kafka_version by Maven (about 45 MB, 10 s to 2 minutes)" \
		mvn -B -q -U -f "$tmp/pom.xml" org.apache.maven.plugins:maven-dependency-plugin:2.8:copy-dependencies \
		-DincludeScope=runtime -DoutputDirectory="$tmp/libs"; then
		rm -rf "$tmp"
		missing "Apache Kafka $kafka_version (org.apache.kafka:kafka_2.13)" \
			"check the network or name a mirror in ~/.m2/settings.xml, then run $here/kafka-tree"
	fi
	if [ ! -e "$tmp/libs/kafka_2.13-$kafka_version.jar" ]; then
		rm -rf "$tmp"
		missing "kafka_2.13-$kafka_version.jar among what Maven has copied" "run $here/kafka-tree --refresh"
	fi
	rm -rf "$kafka_tree"
	mv "$tmp" "$kafka_tree" || die "move the jars to $kafka_tree"
}

# write_pom prints the project that has Kafka as its dependency. The binding of
# its log calls to log4j is part of Kafka's distribution, not of its jars' needs.
write_pom() {
	cat <<-XML
		<project xmlns="http://maven.apache.org/POM/4.0.0">
		  <modelVersion>4.0.0</modelVersion>
		  <groupId>tailwater</groupId>
		  <artifactId>kafka-tree</artifactId>
		  <version>1</version>
		  <packaging>pom</packaging>
		  <dependencies>
		    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>$kafka_version</version></dependency>
		    <dependency><groupId>org.apache.logging.log4j</groupId><artifactId>log4j-slf4j-impl</artifactId><version>2.24.3</version></dependency>
		  </dependencies>
		</project>
	XML
}

# use_kafka_template: what every server starts with: formatted storage, and an
# archive of the classes that a server loads, which halves the time that a start
# takes of the processor. The archive belongs to one Java; another makes its own.
# The first number of the name counts the forms that this folder has had; it
# changes with the options of `java`. Sets `template`, and adds the archive to
# `java`.
use_kafka_template() {
	template=$cache/kafka-template-2-$kafka_version-$({
		readlink -f "$(command -v java)"
		stat -Lc '%Y %s' "$(command -v java)"
	} | cksum | cut -d' ' -f1)
	[ -d "$template" ] || locked kafka-template make_kafka_template "$template"
	java+=(-XX:SharedArchiveFile="$template/classes.jsa")
}

make_kafka_template() {
	local template=$1 tmp mechanism release accounts=()
	[ -d "$template" ] && return 0
	release=$(java -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p')
	[ "${release:-0}" -ge 17 ] || missing "Java 17 or later ($(command -v java) is ${release:-of no known version})" \
		"run: apt-get install openjdk-17-jre-headless, and have it first on the PATH"
	rm -rf "$cache/kafka-template-2-$kafka_version"*
	tmp=$(mktemp -d "$cache/kafka-template-2-$kafka_version.tmp.XXXXXX") || die "make a folder in $cache"
	kafka_properties "$tmp/data" 1 2 >"$tmp/server.properties" || die "write $tmp/server.properties"
	for mechanism in SCRAM-SHA-256 SCRAM-SHA-512; do
		accounts+=(--add-scram "$mechanism=[name=$kafka_user,password=$kafka_password]")
	done
	with_progress "formatting the storage of Kafka $kafka_version" "${java[@]}" kafka.tools.StorageTool format \
		-t "$(cluster_id)" -c "$tmp/server.properties" "${accounts[@]}" ||
		{ rm -rf "$tmp"; die "format Kafka's storage"; }
	cp -a "$tmp/data" "$tmp/formatted" || die "copy the formatted storage in $tmp"
	archive_classes "$tmp" || { rm -rf "$tmp"; die "run Kafka once to archive its classes"; }
	mkdir "$tmp/template" && mv "$tmp/formatted" "$tmp/template/data" && mv "$tmp/classes.jsa" "$tmp/template/" &&
		mv "$tmp/template" "$template" || die "move the formatted storage to $template"
	rm -rf "$tmp"
}

# archive_classes DIR: runs the server whose storage is DIR/data until it serves,
# and has Java write DIR/classes.jsa when it ends. In a shell of its own, for the
# server is nobody else's to watch.
archive_classes() (
	local dir=$1 try
	say "running Kafka once to archive its classes (about 8 s)"
	for try in 1 2 3; do
		kafka_properties "$dir/data" "$(free_port)" "$(free_port)" >"$dir/server.properties" || return
		printf '%s\n' "${java[@]}" -XX:ArchiveClassesAtExit="$dir/classes.jsa" kafka.Kafka "$dir/server.properties" >"$dir/command"
		launch "$dir"
		[ "$try" != 1 ] || watch "$$" "$dir"
		# Somebody may take a free port in the meantime: take others.
		await_log "$dir" "$kafka_serving" 180 && break
	done
	stop_servers kafka_terminate "$dir"
	[ -s "$dir/classes.jsa" ] || { tail -n 10 "$dir/log" >&2; return 1; }
)

# What a server writes when it serves, and how one is asked to end.
kafka_serving='Kafka Server started'
kafka_terminate() { kill -TERM "$(live_pid "$1")"; }

# cluster_id prints a random id as Kafka writes them: 16 bytes in the URL form of
# base64, the first not a dash, which would be read as an option.
cluster_id() { printf 'T%s' "$(head -c 16 /dev/urandom | base64 | tr '+/' '-_' | cut -c 2-22)"; }

# kafka_properties DATA PORT CONTROLLER_PORT: the settings of one node that is
# broker and controller. Few partitions of the internal topics and no wait for
# more members of a group make small servers that answer at once. The sessions
# are short so that a node that was killed is let in again soon.
kafka_properties() {
	cat <<-PROPERTIES
		process.roles=broker,controller
		node.id=1
		controller.quorum.voters=1@127.0.0.1:$3
		controller.listener.names=CONTROLLER
		inter.broker.listener.name=PLAINTEXT
		listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL:SASL_PLAINTEXT,TLS:SSL
		listeners=PLAINTEXT://127.0.0.1:$2,CONTROLLER://127.0.0.1:$3
		log.dirs=$1
		broker.session.timeout.ms=3000
		broker.heartbeat.interval.ms=500
		auto.create.topics.enable=false
		default.replication.factor=1
		offsets.topic.replication.factor=1
		offsets.topic.num.partitions=4
		transaction.state.log.replication.factor=1
		transaction.state.log.min.isr=1
		transaction.state.log.num.partitions=4
		share.coordinator.state.topic.replication.factor=1
		share.coordinator.state.topic.min.isr=1
		share.coordinator.state.topic.num.partitions=4
		group.initial.rebalance.delay.ms=0
		log.segment.bytes=67108864
		log.cleaner.dedupe.buffer.size=16777216
		num.network.threads=2
		num.io.threads=4
		num.recovery.threads.per.data.dir=1
	PROPERTIES
}
