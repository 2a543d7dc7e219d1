-- Says whose windows are public, and makes a definition that is not a candidate.
-- KEYS: generations. Replies with the role of the generation.

local G = KEYS[1]
local gen, state_ttl = arg(), arg()

local wrong = wrongtype(G, 'hash')
if wrong then return wrong end
local v = redis.call('HGET', G, 'v')
if v and v ~= FORMAT then return {'FORMAT', v} end
local current = redis.call('HGET', G, 'current')
if not current or current == gen then
  redis.call('HSET', G, 'v', FORMAT, 'current', gen)
  redis.call('PEXPIRE', G, state_ttl)
  return {'OK', 'current', gen}
end
redis.call('HSET', G, 'candidate', gen)
redis.call('PEXPIRE', G, state_ttl)
return {'OK', 'candidate', current}
