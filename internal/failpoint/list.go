package failpoint

// Names lists every name, in the order of a row's way. The caller may keep it.
func Names() []Name {
	return []Name{
		BinlogConnected, BinlogInspected, BinlogDumpBegun, BinlogPacketRead, BinlogGTIDRead, BinlogTableMapRead,
		BinlogRowsRead, BinlogRowHanded, BinlogPayloadOpened, BinlogStatementRead, BinlogCommitRead,
		BinlogPositionRendered, BinlogIdle, BinlogRotated,
		SessionOpening, SessionOpened, PublishCut, PublishSending, PublishSent, PositionSaving, PositionSaved,
		PublishFinishing, PublishFinished, SchemaStoring, TableEvent, CaptureHalted, CapturePreparing,
		CaptureRemembered, CaptureTopicMade, CaptureMarksStored, RunFileWriting, StateFileSynced,
		StreamTailFolded, StreamClaimed, StreamFenced, StreamSettled, StreamBatchAppending, StreamBatchAppended,
		StreamSyncing, StreamSynced, StreamEndsWriting, StreamEndsWritten, StreamAcked, StreamFileWritten,
		StreamFileSynced, StreamFileRenamed, StreamDirSynced, StreamPositionStoring, StreamPositionStored,
		StreamSchemaStored, StreamTopicMade, StreamTopicStored, StreamTrimCarried, StreamTrimStored, StreamTrimmed,
		StreamRecovered, StreamMarkedClean,
		KafkaProducerInit, KafkaPositionRead, KafkaTailFolded, KafkaClaiming, KafkaClaimed, KafkaTxnBegun,
		KafkaRecordsSent, KafkaPositionSent, KafkaRecordsAnswered, KafkaTxnEnding, KafkaTxnEnded,
		KafkaSchemaProduced, KafkaTopicMade, KafkaPolled,
		RedisPositionsLoading, RedisPositionsLoaded, RedisSeek, RedisPolled, RedisFolded, RedisScriptSending,
		RedisScriptSent, RedisMerged, RedisGenerationMade, RedisGapCrossed, RedisTouched, RedisPromoted,
		LakeChainLoaded, LakeBatchCut, LakeFilesBuilt, LakeManifestPutting, LakeManifestPut, LakeManifestGot,
		LakeObeying, LakeFilePutting, LakeFilePut, LakeDonePutting, LakeDonePut, LakeSchemaPutting, LakeSchemaPut,
		LakeLowMarkRead,
		DirTempWritten, DirTempSynced, DirLinked, DirSynced, DirRead, S3Sending, S3Sent, S3Reading, S3PartSent,
		S3Completing,
		DrainBegun, DrainReadersEnded, DrainCaughtUp, DrainSinksEnded, DrainStreamClosed,
	}
}

// Failing lists the names at which an error can be injected. The caller may
// keep it.
func Failing() []Name {
	return []Name{
		BinlogConnected, BinlogDumpBegun, BinlogPacketRead, StateFileSynced, StreamBatchAppending,
		StreamBatchAppended, StreamSynced, StreamEndsWritten, StreamFileWritten, StreamFileSynced,
		StreamFileRenamed, KafkaProducerInit, KafkaRecordsAnswered, KafkaTxnEnded, RedisPositionsLoading,
		RedisScriptSending, RedisScriptSent, DirTempWritten, DirTempSynced, DirLinked, DirRead, S3Sending, S3Sent,
		S3Reading,
	}
}
