package failpoint

// Name names a step. It stands in one place of the product.
type Name string

// The reader of a binlog.
const (
	BinlogConnected        Name = "binlog.connected"         // a connection to the server stands
	BinlogInspected        Name = "binlog.inspected"         // the server has told what it has
	BinlogDumpBegun        Name = "binlog.dump.begun"        // the dump was asked for
	BinlogPacketRead       Name = "binlog.packet.read"       // a packet of the dump is about to be read
	BinlogGTIDRead         Name = "binlog.gtid.read"         // a transaction begins
	BinlogTableMapRead     Name = "binlog.tablemap.read"     // a TABLE_MAP was read
	BinlogRowsRead         Name = "binlog.rows.read"         // a rows event was read
	BinlogRowHanded        Name = "binlog.row.handed"        // one row change goes to the handler
	BinlogPayloadOpened    Name = "binlog.payload.opened"    // a compressed transaction is opened
	BinlogStatementRead    Name = "binlog.statement.read"    // a statement was read: BEGIN or DDL
	BinlogCommitRead       Name = "binlog.commit.read"       // a transaction ends, and its GTID is not yet in the position
	BinlogPositionRendered Name = "binlog.position.rendered" // the position behind a transaction is text
	BinlogIdle             Name = "binlog.idle"              // a heartbeat of a server where nothing happens
	BinlogRotated          Name = "binlog.rotated"           // another file begins
)

// The publisher of a shard, and what a session is made of.
const (
	SessionOpening     Name = "session.opening"      // the server was found fit, and nothing is claimed
	SessionOpened      Name = "session.opened"       // the session stands, and nothing is read
	PublishCut         Name = "publish.cut"          // a batch is complete in memory
	PublishSending     Name = "publish.sending"      // a batch passed the gate, and nothing of it is sent
	PublishSent        Name = "publish.sent"         // the stream has a batch, and nobody was told
	PositionSaving     Name = "position.saving"      // a position of its own is about to be stored
	PositionSaved      Name = "position.saved"       // a position is stored
	PublishFinishing   Name = "publish.finishing"    // the reader has returned, and the last batch is in memory
	PublishFinished    Name = "publish.finished"     // the last batch and its position are stored
	SchemaStoring      Name = "schema.storing"       // a schema is about to be stored, before the event that names it
	TableEvent         Name = "table.event"          // the events of a whole table are in the batch
	CaptureHalted      Name = "capture.halted"       // a session ends at a transaction of a captured table
	CapturePreparing   Name = "capture.preparing"    // a halted session has published, and nothing is made for the next
	CaptureRemembered  Name = "capture.remembered"   // a captured table is remembered, and its topic not made
	CaptureTopicMade   Name = "capture.topic.made"   // the topic of a captured table is made
	CaptureMarksStored Name = "capture.marks.stored" // what befell a captured table is stored
	RunFileWriting     Name = "runfile.writing"      // the run file is about to be written
	StateFileSynced    Name = "statefile.synced"     // a file of the state directory is whole under its temporary name
)

// The embedded stream.
const (
	StreamTailFolded      Name = "stream.tail.folded"      // a session has read the tail, and claimed nothing
	StreamClaimed         Name = "stream.claimed"          // an epoch is claimed, and no fence is written
	StreamFenced          Name = "stream.fenced"           // the fences are written, and not read again
	StreamSettled         Name = "stream.settled"          // the claim's position is stored
	StreamBatchAppending  Name = "stream.batch.appending"  // a request is built, and nothing of it is written
	StreamBatchAppended   Name = "stream.batch.appended"   // the broker has written a request, and it is not synced
	StreamSyncing         Name = "stream.syncing"          // a round of syncs begins
	StreamSynced          Name = "stream.synced"           // the segments are synced, and their ends not stored
	StreamEndsWriting     Name = "stream.ends.writing"     // the ends are about to be written
	StreamEndsWritten     Name = "stream.ends.written"     // the ends are written, and not synced
	StreamAcked           Name = "stream.acked"            // a round is durable, and nobody was told
	StreamFileWritten     Name = "stream.file.written"     // a temporary file is written, and not synced
	StreamFileSynced      Name = "stream.file.synced"      // a temporary file is synced, and not renamed
	StreamFileRenamed     Name = "stream.file.renamed"     // a file has its name, and the directory is not synced
	StreamDirSynced       Name = "stream.dir.synced"       // a file of the store is durable
	StreamPositionStoring Name = "stream.position.storing" // a position is about to be stored
	StreamPositionStored  Name = "stream.position.stored"  // a position is stored, and not yet in memory
	StreamSchemaStored    Name = "stream.schema.stored"    // a schema is stored
	StreamTopicMade       Name = "stream.topic.made"       // the broker has a topic, and it is not remembered
	StreamTopicStored     Name = "stream.topic.stored"     // a topic is remembered in one generation
	StreamTrimCarried     Name = "stream.trim.carried"     // positions were carried over what is trimmed
	StreamTrimStored      Name = "stream.trim.stored"      // first offsets are stored, and no file is removed
	StreamTrimmed         Name = "stream.trimmed"          // files of a partition are removed
	StreamRecovered       Name = "stream.recovered"        // partitions are in order, and the ends not stored
	StreamMarkedClean     Name = "stream.marked.clean"     // an orderly end is noted
)

// The stream on Kafka.
const (
	KafkaProducerInit    Name = "kafka.producer.init"    // the transactional id is initialized
	KafkaPositionRead    Name = "kafka.position.read"    // the stored position is read
	KafkaTailFolded      Name = "kafka.tail.folded"      // the tail is read, and nothing claimed
	KafkaClaiming        Name = "kafka.claiming"         // the claim's transaction is about to begin
	KafkaClaimed         Name = "kafka.claimed"          // the claim's transaction is committed
	KafkaTxnBegun        Name = "kafka.txn.begun"        // a transaction is begun, and nothing sent
	KafkaRecordsSent     Name = "kafka.records.sent"     // the records are handed to the client
	KafkaPositionSent    Name = "kafka.position.sent"    // the position is handed to the client too
	KafkaRecordsAnswered Name = "kafka.records.answered" // the brokers have all of it, and no end
	KafkaTxnEnding       Name = "kafka.txn.ending"       // EndTxn is about to be sent
	KafkaTxnEnded        Name = "kafka.txn.ended"        // the commit is answered, and nobody was told
	KafkaSchemaProduced  Name = "kafka.schema.produced"  // a schema is produced
	KafkaTopicMade       Name = "kafka.topic.made"       // a topic is made, and not yet known everywhere
	KafkaPolled          Name = "kafka.polled"           // records were fetched
)

// The windows in Redis.
const (
	RedisPositionsLoading Name = "redis.positions.loading" // positions are about to be loaded
	RedisPositionsLoaded  Name = "redis.positions.loaded"  // positions are loaded, and no fold begun
	RedisSeek             Name = "redis.seek"              // the consumer is about to be set to the positions
	RedisPolled           Name = "redis.polled"            // records were polled, and none folded
	RedisFolded           Name = "redis.folded"            // records are folded, and not merged
	RedisScriptSending    Name = "redis.script.sending"    // a merge is about to be sent
	RedisScriptSent       Name = "redis.script.sent"       // the store has answered a merge, and nobody was told
	RedisMerged           Name = "redis.merged"            // a merge is taken over
	RedisGenerationMade   Name = "redis.generation.made"   // a generation of a metric is claimed
	RedisGapCrossed       Name = "redis.gap.crossed"       // a position was moved over what the log has lost
	RedisTouched          Name = "redis.touched"           // the time to live of windows was extended
	RedisPromoted         Name = "redis.promoted"          // a candidate has become the public generation
)

// The lake.
const (
	LakeChainLoaded     Name = "lake.chain.loaded"     // the end of a chain is known
	LakeBatchCut        Name = "lake.batch.cut"        // a batch is cut, and planned nowhere but in memory
	LakeFilesBuilt      Name = "lake.files.built"      // the files of a batch are built in memory
	LakeManifestPutting Name = "lake.manifest.putting" // a manifest is about to be put
	LakeManifestPut     Name = "lake.manifest.put"     // a manifest was put, and not read back
	LakeManifestGot     Name = "lake.manifest.got"     // the manifest that is law was read
	LakeObeying         Name = "lake.obeying"          // an unfinished or foreign manifest is about to be carried out
	LakeFilePutting     Name = "lake.file.putting"     // a file is about to be put
	LakeFilePut         Name = "lake.file.put"         // a file was put
	LakeDonePutting     Name = "lake.done.putting"     // every file of a batch is put, its .done is not
	LakeDonePut         Name = "lake.done.put"         // the .done of a batch is put
	LakeSchemaPutting   Name = "lake.schema.putting"   // a version of the schema is about to be put
	LakeSchemaPut       Name = "lake.schema.put"       // a version of the schema was put, and not read back
	LakeLowMarkRead     Name = "lake.lowmark.read"     // the low mark was read again, behind the manifest
)

// The stores of objects.
const (
	DirTempWritten Name = "dir.temp.written" // an object is written under a temporary name, and not synced
	DirTempSynced  Name = "dir.temp.synced"  // an object is synced under a temporary name
	DirLinked      Name = "dir.linked"       // an object has its name, and the directory is not synced
	DirSynced      Name = "dir.synced"       // an object is durable, and nobody was told
	DirRead        Name = "dir.read"         // an object is about to be opened
	S3Sending      Name = "s3.sending"       // a write is about to be sent
	S3Sent         Name = "s3.sent"          // the store has answered a write, and nobody was told
	S3Reading      Name = "s3.reading"       // an object is about to be asked for
	S3PartSent     Name = "s3.part.sent"     // a part of an upload is answered
	S3Completing   Name = "s3.completing"    // an upload is about to be completed
)

// The end of a process.
const (
	DrainBegun        Name = "drain.begun"         // the process was told to end, and all parts work
	DrainReadersEnded Name = "drain.readers.ended" // the readers have ended, and the sinks have not caught up
	DrainCaughtUp     Name = "drain.caughtup"      // the sinks have read the stream to its end
	DrainSinksEnded   Name = "drain.sinks.ended"   // the sinks have stored what they held
	DrainStreamClosed Name = "drain.stream.closed" // the stream is closed
)
