// Package parquet writes the events of a view into a lake of typed Parquet
// files, each accepted event once, whatever dies and whoever else writes.
//
// # The protocol
//
// One chain of manifests per (view, layout, incarnation of the topic,
// partition) is the truth; a saved offset is only a hint and none is kept.
//
//		cut -> PUT manifest (If-None-Match) -> PUT schema version before it
//		    -> PUT each file (If-None-Match) -> PUT .done -> next cut
//
//	  - A manifest pins the offset range, the marks before and after it, the
//	    typed schema, the layout, the codec settings and the files. The files are
//	    a pure function of the manifest and the log, so whoever finds a manifest
//	    without its .done can finish it.
//	  - The key of a manifest is its first offset. Of two workers on one
//	    partition one wins the PUT; the other reads what won and obeys it.
//	  - A worker starts at the end of the chain, never at an offset of its own.
//	  - Manifests live below _tailwater/, outside the prefixes of the tables.
//
// docs/format/lake.md describes every key and every member.
package parquet
