-- Makes the candidate's windows the public ones, once it has read as far as
-- the definition before it.
-- KEYS: generations, bookkeeping of the candidate and of the other, lists of
-- windows of the candidate and of the other (public), events; then for each window of
-- the candidate its values and description, beside and public; then for each
-- public window its values, description, accumulators and ordered values.

local G, S, O, CZ, Z, E = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local gen, other, state_ttl = arg(), arg(), arg()
local maxevents, size = arg(), num()

local wrong = wrongtype(G, 'hash') or wrongtype(S, 'hash') or wrongtype(O, 'hash') or
              wrongtype(CZ, 'zset') or wrongtype(Z, 'zset') or wrongtype(E, 'stream')
if wrong then return wrong end
if redis.call('HGET', G, 'current') ~= other or redis.call('HGET', G, 'candidate') ~= gen then
  return {'GENERATION', redis.call('HGET', G, 'current') or '', redis.call('HGET', G, 'candidate') or ''}
end
if redis.call('HGET', S, 'open') then return {'CORRUPT', 'an earlier script ended while it wrote'} end

local np = redis.call('HGET', S, 'partitions')
if not np then return {'BEHIND'} end
for p = 0, tonumber(np) - 1 do
  local mine = redis.call('HGET', S, 'p:' .. int(p))
  local theirs = redis.call('HGET', O, 'p:' .. int(p))
  if theirs then
    if not mine then return {'BEHIND'} end
    local mi, mo = string.match(mine, '^(%S+) (%d+)$')
    local ti, to = string.match(theirs, '^(%S+) (%d+)$')
    if mi == ti and tonumber(mo) < tonumber(to) then return {'BEHIND'} end
  end
end

local at = 6
local function windows(z, keys)
  local out, listed = {}, {}
  for i = 1, num() do
    local w = {start = arg()}
    for k = 1, keys do w[k] = KEYS[at + k] end
    at = at + keys
    out[i], listed[w.start] = w, true
  end
  for _, start in ipairs(redis.call('ZRANGE', z, 0, -1)) do
    if not listed[start] then return nil end
  end
  return out
end
local mine = windows(CZ, 4)
local theirs = mine and windows(Z, 4)
if not theirs then return {'NEED'} end
for _, w in ipairs(mine) do
  wrong = wrong or wrongtype(w[1], 'hash') or wrongtype(w[2], 'hash')
end
if wrong then return wrong end

local bound = stale_bound(redis.call('HGET', S, 'stale'), redis.call('HGET', S, 'ahead'))
redis.call('HSET', S, 'open', '1')
for _, w in ipairs(theirs) do redis.call('UNLINK', w[1], w[2], w[3], w[4]) end
redis.call('UNLINK', Z, O)
for _, w in ipairs(mine) do
  if redis.call('EXISTS', w[1]) == 1 then redis.call('RENAME', w[1], w[3]) end
  if redis.call('EXISTS', w[2]) == 1 then redis.call('RENAME', w[2], w[4]) end
  local e = parse_entry(redis.call('HGET', S, 'w:' .. w.start) or '')
  if e then e.stale = is_stale(tonumber(w.start), bound) end
  if e and e.state ~= 'open' then announce(E, maxevents, e, w.start, tonumber(w.start) + size) end
end
if redis.call('EXISTS', CZ) == 1 then redis.call('RENAME', CZ, Z) end
redis.call('HSET', G, 'current', gen)
redis.call('HDEL', G, 'candidate', 'buckets')
redis.call('PEXPIRE', G, state_ttl)
redis.call('HDEL', S, 'open')
return {'OK'}
