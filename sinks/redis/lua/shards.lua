-- Replaces the list of expected shards, and the bounds that follow from it.
-- KEYS: bookkeeping.

local S = KEYS[1]
local from, to = arg(), arg()

local wrong = wrongtype(S, 'hash')
if wrong then return wrong end
if redis.call('HGET', S, 'open') then return {'CORRUPT', 'an earlier script ended while it wrote'} end
if (redis.call('HGET', S, 'shards') or '') ~= from then return {'REFUSED', 'shards'} end
local set = {'shards', to}
for _ = 1, num() do
  local p, at, bounds = arg(), arg(), arg()
  if (redis.call('HGET', S, 'p:' .. p) or '') ~= at then return {'REFUSED', p} end
  set[#set + 1] = 'k:' .. p
  set[#set + 1] = bounds
end
-- One command: it needs no marker.
redis.call('HSET', S, unpack(set))
return {'OK'}
