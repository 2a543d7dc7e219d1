package config

import "time"

// Stream is the log between readers and consumers.
type Stream struct {
	_ struct{} `later:"topic,key,compression,region,endpoint,quote_big"`

	Type        string        `key:"type" default:"embedded" enum:"embedded|kafka" later:"kinesis" doc:"embedded is a log in the state directory that any Kafka client can read; kafka is a cluster of yours, Apache Kafka 4 or what speaks its protocol with transactions."`
	Brokers     []string      `key:"brokers" pattern:"address" doc:"Addresses of some brokers, host:port; required for kafka."`
	Partitions  int           `key:"partitions" default:"12" range:"1..1024" doc:"Partitions of each view's topic. It cannot change once the topic exists: keys would move."`
	Replication int           `key:"replication" default:"0" range:"0..32" doc:"Replicas of each partition of topics that are made; 0 is the broker's default. Only for kafka."`
	Envelope    string        `key:"envelope" default:"flat" enum:"flat|debezium|maxwell|canal" later:"cloudevents" doc:"Form of the events of every view that says no other: flat, or what consumers of Debezium, Maxwell or Canal read. Metrics and the lake read flat events only."`
	MaxRecord   Size          `key:"max_record" default:"16MiB" range:"64KiB..256MiB" doc:"Largest event. A larger one stops its shard, naming table and key."`
	Listen      string        `key:"listen" default:"127.0.0.1:0" pattern:"address" doc:"Address at which the embedded stream answers Kafka clients. They may read and not write, and nobody asks them for a password. Port 0 takes a free port."`
	Retention   Retention     `key:"retention" doc:"How much the stream keeps. On embedded, what a sink has not read yet is never dropped."`
	Connect     StreamConnect `key:"connect" doc:"How connections to the brokers are made. Only for kafka."`
	SASL        SASL          `key:"sasl" doc:"How the pipeline shows who it is. Only for kafka."`
}

// Retention bounds what the stream keeps, by whichever is reached first.
type Retention struct {
	Age   time.Duration `key:"age" default:"24h" range:"10m..8760h" doc:"Age at which records may be dropped. On kafka it becomes retention.ms of topics that are made."`
	Bytes Size          `key:"bytes" default:"10GiB" range:"16MiB..1024TiB" doc:"Bytes above which the oldest records may be dropped. Only for embedded; on kafka bytes never bound what is kept."`
}

// StreamConnect says how connections to the brokers are made.
type StreamConnect struct {
	TLS        string        `key:"tls" default:"auto" enum:"auto|disable|skip|verify-ca|verify" doc:"verify checks certificate and host name, verify-ca the certificate only, skip encrypts without a check, disable sends plain text. auto is disable when every broker is on this machine and verify otherwise."`
	CA         string        `key:"ca" doc:"PEM file of the authorities to trust, in place of the system's."`
	Cert       string        `key:"cert" doc:"PEM file of the client's certificate."`
	Key        string        `key:"key" doc:"PEM file of its key."`
	ServerName string        `key:"server_name" doc:"Name that the certificates must carry, when it is not the brokers'."`
	Timeout    time.Duration `key:"timeout" default:"10s" range:"100ms..10m" doc:"Bound of making a connection and of a request's answer."`
}

// SASL is an account of a Kafka cluster.
type SASL struct {
	Mechanism string `key:"mechanism" enum:"plain|scram-sha-256|scram-sha-512" doc:"How the password is shown. plain sends it as it is: use it over TLS only."`
	User      string `key:"user" doc:"Account."`
	Password  Secret `key:"password" doc:"Its password, best taken from a file: ${file:/run/secrets/kafka}."`
}
