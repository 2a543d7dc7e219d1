-- Merges the deltas of one bucket of a metric, or nothing of them.
-- KEYS: generations, bookkeeping, list of windows, events, then for each window its
-- accumulators, public values, public description and ordered values.

local G, S, Z, E = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local gen, role, kind = arg(), arg(), arg()
local scale, size, maxgroups = num(), num(), num()
local lateness, wait, retain = num(), num(), num()
local window_ttl, state_ttl = arg(), arg()
local partitions, shards = arg(), arg()
local late, dropped, skipped = arg(), arg(), arg()
local retract, maxopen, maxevents, wide = arg() == '1', num(), arg(), arg() == '1'
local stale, stale_by, ahead = num(), arg(), num()

local ordered = kind == 'min' or kind == 'max'

local steps = {}
for i = 1, num() do
  steps[i] = {p = arg(), from = arg(), to = arg(), marks = arg(), bounds = arg()}
end

-- Each window: start, its keys, and the groups with their deltas side by side.
local windows, by_start = {}, {}
for i = 1, num() do
  local w = {start = arg(), groups = {}, images = {}, deltas = {}, values = {}}
  w.ns = tonumber(w.start)
  w.a, w.w, w.meta, w.o = KEYS[4 * i + 1], KEYS[4 * i + 2], KEYS[4 * i + 3], KEYS[4 * i + 4]
  for g = 1, num() do
    w.groups[g], w.images[g] = arg(), arg()
    for _ = 1, width[kind] do w.deltas[#w.deltas + 1] = arg() end
    if ordered then
      local v = {}
      for k = 1, 3 * num() do v[k] = arg() end
      w.values[g] = v
    end
  end
  windows[i], by_start[w.start] = w, w
end

-- 1. Types: nothing may fail once writing has begun.
local wrong = wrongtype(G, 'hash') or wrongtype(S, 'hash') or wrongtype(Z, 'zset') or wrongtype(E, 'stream')
for _, w in ipairs(windows) do
  wrong = wrong or wrongtype(w.a, 'hash') or wrongtype(w.w, 'hash') or wrongtype(w.meta, 'hash') or
          wrongtype(w.o, 'zset')
end
if wrong then return wrong end

-- 2. Bookkeeping, generation, positions.
local fields = {'v', 'open', 'stopped', 'floor', 'partitions', 'shards', 'unclosed',
                'closed', 'incomplete', 'late', 'dropped', 'below', 'overflows',
                'skipped', 'negatives', 'stale', 'stale_by', 'ahead', 'restate'}
local stored = {}
do
  local got = redis.call('HMGET', S, unpack(fields))
  for i, f in ipairs(fields) do stored[f] = got[i] end
end
if stored.v and stored.v ~= FORMAT then return {'FORMAT', stored.v} end
if stored.open then return {'CORRUPT', 'an earlier script ended while it wrote'} end

local current, candidate, frozen = unpack(redis.call('HMGET', G, 'current', 'candidate', 'frozen'))
if role == 'current' and current and current ~= gen or
   role == 'candidate' and (candidate ~= gen or current == gen) or frozen == gen then
  return {'GENERATION', current or '', candidate or ''}
end
if stored.v and stored.partitions ~= partitions then return {'PARTITIONS', stored.partitions or ''} end
if stored.v and stored.shards ~= shards then return {'SHARDS', stored.shards or ''} end

do
  local names = {}
  for i, s in ipairs(steps) do names[i] = 'p:' .. s.p end
  local got = hmget(S, names)
  for i, s in ipairs(steps) do
    if (got[i] or '') ~= s.from then return {'REFUSED', s.p} end
  end
end

if stored.stopped then
  local limit, start = string.match(stored.stopped, '^(%d+) (%d+)$')
  if not limit then return {'CORRUPT', 'field stopped'} end
  if tonumber(limit) >= maxgroups then return {'STOPPED', limit, start} end
end

-- 3. Windows: read, check and compute everything that will be written.
local floor = tonumber(stored.floor or '0')
local unclosed = parse_starts(stored.unclosed)
local below, overflows, negatives, groups_now = '0', '0', '0', 0
local now = millis()

do
  local names = {}
  for i, w in ipairs(windows) do names[i] = 'w:' .. w.start end
  local got = hmget(S, names)
  for i, w in ipairs(windows) do
    if got[i] then
      w.entry = parse_entry(got[i])
      if not w.entry then return {'CORRUPT', 'field ' .. names[i]} end
      -- An evicted or expired window is lost, never half of itself.
      if w.entry.state ~= 'lost' and w.entry.groups > 0 and
         (redis.call('EXISTS', w.a) + redis.call('EXISTS', w.w) < 2 or ordered and retract and redis.call('EXISTS', w.o) == 0) then
        w.entry.state, w.entry.complete, w.entry.missing = 'lost', '0', '-'
        w.gone, w.dirty = true, true
        unclosed[w.start] = nil
      end
    end
  end
end

for _, w in ipairs(windows) do
  local n = #w.groups
  if n > 0 and (w.ns < floor or (w.entry and w.entry.state == 'lost')) then
    for g = 1, n do below = add(below, w.images[g]) end
  elseif n > 0 then
    local olds = {}
    if w.entry then
      olds = hmget(w.a, w.groups)
    else
      w.entry = {state = 'open', complete = '0', revision = 0, groups = 0, missing = '-'}
      w.new = true
      unclosed[w.start] = w.ns
    end
    w.states, w.texts, w.emptied, w.ask, w.dirty, w.touched = {}, {}, {}, {}, true, true
    if ordered and retract and not read_values(w) then return {'CORRUPT', 'a value of window ' .. w.start} end
    for g = 1, n do
      local old, at = olds[g], (g - 1) * width[kind] + 1
      local state, text, ask
      if ordered then
        state, text, ask = merge_values(kind, old, w.deltas[at], w.deltas[at + 1], w.values[g])
      else
        state, text = merge[kind](old, w.deltas, at, scale)
      end
      if not state then return {'CORRUPT', 'a group of window ' .. w.start} end
      if state == OVERFLOW and old ~= OVERFLOW then overflows = add(overflows, '1') end
      local rows = string.match(state, '^%-?%d+')
      if rows == '0' then -- no row is left
        if old then
          w.entry.groups = w.entry.groups - 1
          w.emptied[#w.emptied + 1] = w.groups[g]
        end
      else
        if not old then w.entry.groups = w.entry.groups + 1 end
        if string.byte(state, 1) == 45 and (not old or string.byte(old, 1) ~= 45) then negatives = add(negatives, '1') end
        local k = #w.states
        w.states[k + 1], w.states[k + 2] = w.groups[g], state
        w.texts[k + 1], w.texts[k + 2] = w.groups[g], text
        if ask then w.ask[#w.ask + 1] = k + 2 end
      end
    end
    groups_now = w.entry.groups
    if w.entry.groups > maxgroups then
      redis.call('HSET', S, 'v', FORMAT, 'partitions', partitions, 'shards', shards,
                 'stopped', int(maxgroups) .. ' ' .. w.start)
      redis.call('PEXPIRE', S, state_ttl)
      return {'STOPPED', int(maxgroups), w.start}
    end
  end
end

if maxopen > 0 then
  local open, last = 0, 0
  for _, ns in pairs(unclosed) do open, last = open + 1, math.max(last, ns) end
  if open > maxopen then return {'WINDOWS', int(maxopen), int(last)} end
end

-- 4. Watermarks of all partitions, as they will be stored.
local np = tonumber(partitions)
local low, marks_of, lows = nil, {}, {}
do
  local names, moved = {}, {}
  for _, s in ipairs(steps) do if s.to ~= '' then moved[s.p] = s end end
  for p = 0, np - 1 do names[p + 1] = 'k:' .. int(p) end
  local got = hmget(S, names)
  for p = 0, np - 1 do
    local s = moved[int(p)]
    local l, h = low_high(s and s.bounds or got[p + 1])
    if not low or l < low then low = l end
    lows[p + 1] = h
    marks_of[p + 1] = s and s.marks or false
  end
end
local watermark = math.max(0, low - lateness)

-- ranks reads the watermarks of all partitions by shard, with the two highest
-- of each, when a window may have to do without some shards.
local parsed, names
local function ranks()
  if parsed then return parsed, names end
  parsed, names = {}, {}
  for shard in string.gmatch(shards, '%S+') do names[#names + 1] = shard end
  for p = 1, np do
    local text = marks_of[p] or redis.call('HGET', S, 'm:' .. int(p - 1)) or ''
    local r = {of = {}, first = 0, second = 0}
    for shard, wm in string.gmatch(text, '(%S+)=%x+,%d+,(%d+)') do r.of[shard] = tonumber(wm) end
    for i = 1, #names do
      local wm = r.of[names[i]] or 0
      if wm > r.first then
        r.first, r.second, r.leader = wm, r.first, names[i]
      elseif wm > r.second then
        r.second = wm
      end
    end
    parsed[p] = r
  end
  return parsed, names
end

-- missing returns the shards without which a window may be published, or nil:
-- in every partition another shard is past the end by more than the wait, and
-- somewhere the shard's own watermark is below the end.
local function missing(stop)
  for p = 1, np do
    if lows[p] <= stop + wait then return nil end
  end
  local of, all = ranks()
  local out = {}
  for i = 1, #all do
    local shard = all[i]
    local behind, passed = false, true
    for p = 1, np do
      local r = of[p]
      if (r.of[shard] or 0) < stop then behind = true end
      local other = r.first
      if r.leader == shard then other = r.second end
      if other <= stop + wait then passed = false end
    end
    if behind and not passed then return nil end
    if behind then out[#out + 1] = shard end
  end
  if #out == 0 then return nil end
  return table.concat(out, ',')
end

-- waited is the watermark of a bucket without the shards that a window may do
-- without: what is not there and ends before it has nothing to publish.
local function waited()
  local lowest
  for p = 1, np do lowest = math.min(lowest or lows[p], lows[p]) end
  if wait == 0 or lowest - wait <= low then return watermark end
  local of, all = ranks()
  local out
  for i = 1, #all do
    local shard = all[i]
    local own, others
    for p = 1, np do
      local r = of[p]
      own = math.min(own or math.huge, r.of[shard] or 0)
      others = math.min(others or math.huge, r.leader == shard and r.second or r.first)
    end
    local past = math.max(own, others - wait - 1)
    out = math.min(out or past, past)
  end
  return math.max(watermark, out - lateness)
end

-- 5. Closing. A window whose keys are not declared waits for the next script.
local need, need_count = {}, 0
local function declared(start)
  local w = by_start[start]
  if not w and need_count < 200 then
    need_count = need_count + 1
    need[need_count] = start
  end
  return w
end

local closed, incomplete = 0, 0
for start, ns in pairs(unclosed) do
  local stop = (ns + size) * 1000000
  if stop <= watermark then
    local w = declared(start)
    if w and w.entry then
      if w.entry.complete == '0' then closed = closed + 1 end
      w.entry.complete, w.entry.missing, w.publish, w.dirty = '1', '-', true, true
      unclosed[start] = nil
    elseif w then
      return {'CORRUPT', 'window ' .. start .. ' is listed as not closed and has no entry'}
    end
  elseif wait > 0 then
    local names = missing(stop + lateness)
    local w = names and declared(start)
    if w and w.entry and w.entry.missing ~= names then
      if w.entry.state == 'open' then incomplete = incomplete + 1 end
      w.entry.missing, w.publish, w.dirty = names, true, true
    end
  end
end

-- Rows that were counted are gone. What they may stand in is marked; a window
-- whose keys are not declared waits for the next script, and is listed until then.
local was = stale_bound(stored.stale, stored.ahead)
if stale < tonumber(stored.stale or '0') or stale_by < (stored.stale_by or '') and stale == tonumber(stored.stale or '0') then
  stale, stale_by = tonumber(stored.stale), stored.stale_by or ''
end
ahead = math.max(ahead, tonumber(stored.ahead or '0'))
local bound = stale_bound(stale, ahead)
local restate = parse_starts(stored.restate)
if bound and bound > (was or -1) then
  local from = was and '(' .. int(math.floor(was / 1000000)) or '-inf'
  for _, start in ipairs(redis.call('ZRANGEBYSCORE', Z, from, int(math.floor(bound / 1000000)))) do
    restate[start] = tonumber(start)
  end
end
for start in pairs(restate) do
  local w = declared(start)
  if w then
    restate[start] = nil
    if w.entry and w.entry.state ~= 'lost' then
      w.dirty = true
      if w.entry.state ~= 'open' then w.publish = true end
    end
  end
end
local published = {}
for _, w in ipairs(windows) do
  if w.entry then w.entry.stale = is_stale(w.ns, bound) end
  if w.entry and w.entry.state ~= 'lost' and (w.publish or (w.touched and w.entry.state ~= 'open')) then
    publish_entry(w.entry, now)
    published[#published + 1] = w
  end
end
table.sort(published, function(a, b) return a.ns < b.ns end)

-- 6. Expiry: the floor rises as far as the windows below it can be deleted here.
local dead, expired = {}, 0
if watermark > retain then expired = math.floor((watermark - retain) / 1000000 / size) * size end
if expired > floor then
  local list = redis.call('ZRANGEBYSCORE', Z, '-inf', '(' .. int(expired), 'LIMIT', '0', '201')
  local upto = expired
  if #list > 200 then upto = tonumber(list[201]) end
  for i = 1, math.min(#list, 200) do
    local ns = tonumber(list[i])
    local w = declared(list[i])
    if not w then
      upto = math.min(upto, ns)
    elseif ns < upto then
      dead[#dead + 1] = w
      w.dead = true
    end
  end
  -- A window that is first heard of here is deleted with the rest.
  for _, w in ipairs(windows) do
    if w.new and w.ns < upto then
      dead[#dead + 1] = w
      w.dead = true
    end
  end
  if upto > floor then floor = upto end
end

-- 7. Writes. Nothing below can fail.
redis.call('HSET', S, 'open', '1')
local set = {'v', FORMAT, 'partitions', partitions, 'shards', shards, 'floor', int(floor), 'watermark', int(watermark)}
local function put(field, value)
  set[#set + 1] = field
  set[#set + 1] = value
end
if wide then put('waited', int(waited())) end
for _, w in ipairs(dead) do
  redis.call('UNLINK', w.a, w.w, w.meta, w.o)
  redis.call('ZREM', Z, w.start)
  redis.call('HDEL', S, 'w:' .. w.start)
  unclosed[w.start], restate[w.start] = nil, nil
end
for _, w in ipairs(windows) do
  if w.dirty and not w.dead then
    if w.new then redis.call('UNLINK', w.a, w.w, w.meta, w.o) end
    if w.gone then redis.call('UNLINK', w.a, w.o) end
    if w.touched then
      chunks('HDEL', w.a, w.emptied)
      chunks('HDEL', w.w, w.emptied)
      if ordered and retract then
        order_values(w)
        for _, k in ipairs(w.ask) do
          w.states[k], w.texts[k] = find_best(w, kind, w.states[k - 1], w.states[k])
          if not w.states[k] then return {'CORRUPT', 'the values of window ' .. w.start} end
        end
      end
      hset(w.a, w.states)
      hset(w.w, w.texts)
    end
    redis.call('HSET', w.meta, unpack(meta_list(w.entry, w.ns, size, gen)))
    redis.call('ZADD', Z, w.start, w.start)
    redis.call('PEXPIRE', w.a, window_ttl)
    redis.call('PEXPIRE', w.w, window_ttl)
    redis.call('PEXPIRE', w.meta, window_ttl)
    redis.call('PEXPIRE', w.o, window_ttl)
    put('w:' .. w.start, entry_text(w.entry))
  end
end
if role == 'current' then
  for _, w in ipairs(published) do
    if not w.dead then announce(E, maxevents, w.entry, w.start, w.ns + size) end
  end
end
for _, s in ipairs(steps) do
  if s.to ~= '' then
    put('p:' .. s.p, s.to)
    put('m:' .. s.p, s.marks)
    put('k:' .. s.p, s.bounds)
  end
end
local totals = {closed = add(stored.closed or '0', int(closed)), incomplete = add(stored.incomplete or '0', int(incomplete)),
                late = add(stored.late or '0', late), dropped = add(stored.dropped or '0', dropped),
                below = add(stored.below or '0', below), overflows = add(stored.overflows or '0', overflows),
                skipped = add(stored.skipped or '0', skipped), negatives = add(stored.negatives or '0', negatives)}
for f, v in pairs(totals) do put(f, v) end
put('unclosed', starts_text(unclosed))
if ahead > 0 then put('ahead', int(ahead)) end
if bound then
  put('stale', int(stale))
  put('stale_by', stale_by)
  put('restate', starts_text(restate))
end
hset(S, set)
if stored.stopped then redis.call('HDEL', S, 'stopped') end
if role == 'current' and not current then redis.call('HSET', G, 'v', FORMAT, 'current', gen) end
redis.call('PEXPIRE', Z, window_ttl)
redis.call('PEXPIRE', E, window_ttl)
redis.call('PEXPIRE', G, state_ttl)
redis.call('PEXPIRE', S, state_ttl)
redis.call('HDEL', S, 'open')

local reply = {'OK', int(watermark), int(floor), totals.closed, totals.incomplete, totals.late, totals.dropped,
               totals.below, totals.overflows, totals.skipped, totals.negatives, int(groups_now),
               int(bound or 0), stale_by}
for i = 1, need_count do reply[#reply + 1] = need[i] end
return reply
