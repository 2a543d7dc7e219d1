-- Makes a generation with buckets the public one, in all of them at once: what
-- readers go by is this key. Each bucket follows by itself.
-- KEYS: generations of the whole metric.

local G = KEYS[1]
local gen, other, buckets, state_ttl = arg(), arg(), arg(), arg()

local wrong = wrongtype(G, 'hash')
if wrong then return wrong end
local current, candidate = redis.call('HGET', G, 'current'), redis.call('HGET', G, 'candidate')
if current ~= other or candidate ~= gen then return {'GENERATION', current or '', candidate or ''} end
redis.call('HSET', G, 'current', gen, 'buckets', buckets)
redis.call('HDEL', G, 'candidate')
redis.call('PEXPIRE', G, state_ttl)
return {'OK'}
