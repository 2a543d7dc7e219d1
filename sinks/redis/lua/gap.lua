-- Moves a position that the log no longer has to the log's first offset, and
-- gives up the windows that the missing records may have touched.
-- KEYS: bookkeeping, list of windows, events, then for each window its accumulators,
-- public values, public description and ordered values.

local S, Z, E = KEYS[1], KEYS[2], KEYS[3]
local role, maxevents = arg(), arg()
local gen, size, floor = arg(), num(), num()
local window_ttl, state_ttl = arg(), arg()
local partitions, shards = arg(), arg()
local p, from, to = arg(), arg(), arg()

local windows, by_start = {}, {}
for i = 1, num() do
  local w = {start = arg(), a = KEYS[4 * i], w = KEYS[4 * i + 1], meta = KEYS[4 * i + 2], o = KEYS[4 * i + 3]}
  w.ns = tonumber(w.start)
  windows[i], by_start[w.start] = w, w
end

local wrong = wrongtype(S, 'hash') or wrongtype(Z, 'zset') or wrongtype(E, 'stream')
for _, w in ipairs(windows) do
  wrong = wrong or wrongtype(w.a, 'hash') or wrongtype(w.meta, 'hash')
end
if wrong then return wrong end

local v = redis.call('HGET', S, 'v')
if v and v ~= FORMAT then return {'FORMAT', v} end
if redis.call('HGET', S, 'open') then return {'CORRUPT', 'an earlier script ended while it wrote'} end
if v then
  local stored = redis.call('HGET', S, 'partitions')
  if stored ~= partitions then return {'PARTITIONS', stored or ''} end
  stored = redis.call('HGET', S, 'shards')
  if stored ~= shards then return {'SHARDS', stored or ''} end
end
if (redis.call('HGET', S, 'p:' .. p) or '') ~= from then return {'REFUSED', p} end

local old = tonumber(redis.call('HGET', S, 'floor') or '0')
if floor < old then floor = old end
local unclosed = parse_starts(redis.call('HGET', S, 'unclosed'))
local bound = stale_bound(redis.call('HGET', S, 'stale'), redis.call('HGET', S, 'ahead'))
local now, lost, need = millis(), {}, {}
for _, start in ipairs(redis.call('ZRANGEBYSCORE', Z, '-inf', '(' .. int(floor))) do
  local text = redis.call('HGET', S, 'w:' .. start)
  if text then
    local e = parse_entry(text)
    if not e then return {'CORRUPT', 'field w:' .. start} end
    if e.state ~= 'lost' then
      local w = by_start[start]
      if not w then
        need[#need + 1] = start
      else
        e.revision = math.max(e.revision + 1, now)
        e.state, e.complete, e.missing, w.entry = 'lost', '0', '-', e
        e.stale = is_stale(w.ns, bound)
        lost[#lost + 1] = w
      end
    end
  end
end
if #need > 0 then return {'NEED', unpack(need, 1, math.min(#need, CHUNK))} end

redis.call('HSET', S, 'open', '1')
for _, w in ipairs(lost) do
  redis.call('UNLINK', w.a, w.o)
  redis.call('HSET', w.meta, unpack(meta_list(w.entry, w.ns, size, gen)))
  redis.call('PEXPIRE', w.meta, window_ttl)
  redis.call('HSET', S, 'w:' .. w.start, entry_text(w.entry))
  if role == 'current' then announce(E, maxevents, w.entry, w.start, w.ns + size) end
  unclosed[w.start] = nil
end
redis.call('HSET', S, 'v', FORMAT, 'partitions', partitions, 'shards', shards, 'floor', int(floor),
           'unclosed', starts_text(unclosed), 'p:' .. p, to)
if from ~= to then redis.call('HDEL', S, 'm:' .. p, 'k:' .. p) end
if from ~= to and (from ~= '' or not string.find(to, ' 0$')) then redis.call('HINCRBY', S, 'gaps', 1) end
redis.call('PEXPIRE', S, state_ttl)
redis.call('HDEL', S, 'open')
return {'OK', int(floor), int(#lost)}
