-- Forgets a metric's values whose bookkeeping cannot be trusted, so that they
-- are folded again from the log.
-- KEYS: bookkeeping, list of windows, then for each window its accumulators,
-- public values, public description and ordered values. ARGV: whether to do so without the
-- marker of a script that ended while it wrote, then the windows.

local S, Z = KEYS[1], KEYS[2]
local force = arg()
if force ~= '1' and redis.call('EXISTS', S) == 1 and not redis.call('HGET', S, 'open') then return {'REFUSED', 'open'} end

local listed = {}
for _ = 1, num() do listed[arg()] = true end
if redis.call('EXISTS', Z) == 1 then
  local wrong = wrongtype(Z, 'zset')
  if wrong then return wrong end
  for _, start in ipairs(redis.call('ZRANGE', Z, 0, -1)) do
    if not listed[start] then return {'NEED', start} end
  end
end
-- The bookkeeping goes last: until then the next script starts over here.
for i = 3, #KEYS do redis.call('UNLINK', KEYS[i]) end
redis.call('UNLINK', Z)
redis.call('UNLINK', S)
return {'OK'}
