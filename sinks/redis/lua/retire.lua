-- Deletes what a frozen generation left in a bucket that the one after it does
-- not have.
-- KEYS: generations, bookkeeping, list of windows, then for each window its
-- accumulators, public values, public description and ordered values.

local G, S, Z = KEYS[1], KEYS[2], KEYS[3]
local gen = arg()

local wrong = wrongtype(G, 'hash') or wrongtype(Z, 'zset')
if wrong then return wrong end
if redis.call('HGET', G, 'frozen') ~= gen then return {'REFUSED', 'frozen'} end
local listed = {}
for _ = 1, num() do listed[arg()] = true end
for _, start in ipairs(redis.call('ZRANGE', Z, 0, -1)) do
  if not listed[start] then return {'NEED', start} end
end
for i = 4, #KEYS do redis.call('UNLINK', KEYS[i]) end
redis.call('UNLINK', Z)
redis.call('UNLINK', S)
return {'OK'}
