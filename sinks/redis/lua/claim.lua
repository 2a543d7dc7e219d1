-- Says whose windows are public, and makes a definition that is not a candidate.
-- KEYS: generations. Replies with the role of the generation, the one whose
-- windows are public, and the number of its buckets.

local G = KEYS[1]
local gen, state_ttl, buckets = arg(), arg(), arg()

local wrong = wrongtype(G, 'hash')
if wrong then return wrong end
local v = redis.call('HGET', G, 'v')
if v and v ~= FORMAT then return {'FORMAT', v} end
-- Whoever starts with a definition wants it, also after another took over.
if redis.call('HGET', G, 'frozen') == gen then redis.call('HDEL', G, 'frozen') end
local current = redis.call('HGET', G, 'current')
if not current or current == gen then
  redis.call('HSET', G, 'v', FORMAT, 'current', gen)
  if buckets ~= '1' then redis.call('HSET', G, 'buckets', buckets) end
  redis.call('PEXPIRE', G, state_ttl)
  return {'OK', 'current', gen, buckets}
end
redis.call('HSET', G, 'candidate', gen)
redis.call('PEXPIRE', G, state_ttl)
return {'OK', 'candidate', current, redis.call('HGET', G, 'buckets') or '1'}
