package main

// shards is how many servers have a part of the recording each.
const shards = 12

// twelveBench is many servers' binlogs in one process.
var twelveBench = &bench{
	name: "twelve", what: "twelve servers' binlogs to the embedded stream, CPU of the whole process from its start; one server with all of the rows is the rival",
	fresh: true, serve: serveParts, fixtures: "a", onRequest: "b",
	groups: func() []*group {
		return []*group{
			{name: "stream", arms: []*arm{
				{name: "twelve", what: "twelve shards, each with a twelfth of the transactions", run: tailwater{parts: true}.run},
				{name: "one", what: "one shard with all of them", run: tailwater{}.run},
			}},
		}
	},
}
