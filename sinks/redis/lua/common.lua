-- Shared by all scripts: arguments, checks, windows, decimal text.
-- Nothing here writes.

local FORMAT = '1'

local argi = 0
local function arg()
  argi = argi + 1
  return ARGV[argi]
end
local function num() return tonumber(arg()) end

-- int writes a number that is no value (a time, a count of windows).
local function int(n) return string.format('%.0f', n) end

-- wrongtype returns what is wrong with the type of a key, or nil.
local function wrongtype(key, want)
  local t = redis.call('TYPE', key)
  if type(t) == 'table' then t = t.ok end
  if t ~= 'none' and t ~= want then return {'TYPE', key, t, want} end
end

-- Redis limits what unpack may push; 4,000 is below the limit of every server.
local CHUNK = 4000

-- hset writes a flat list of fields and values.
local function hset(key, list)
  for i = 1, #list, CHUNK do
    redis.call('HSET', key, unpack(list, i, math.min(i + CHUNK - 1, #list)))
  end
end

-- hmget reads fields in order; an absent one is false.
local function hmget(key, fields)
  local out, n = {}, 0
  for i = 1, #fields, CHUNK do
    local part = redis.call('HMGET', key, unpack(fields, i, math.min(i + CHUNK - 1, #fields)))
    for j = 1, #part do
      n = n + 1
      out[n] = part[j]
    end
  end
  return out
end

-- A window's entry in the bookkeeping hash: state, complete, revision, number
-- of groups, missing shards separated by commas or "-".
local function parse_entry(text)
  local state, complete, revision, groups, missing =
    string.match(text, '^(%l+) ([01]) (%d+) (%d+) (%S+)$')
  if not state then return nil end
  return {state = state, complete = complete, revision = tonumber(revision),
          groups = tonumber(groups), missing = missing}
end

local function entry_text(e)
  return e.state .. ' ' .. e.complete .. ' ' .. int(e.revision) .. ' ' .. int(e.groups) .. ' ' .. e.missing
end

-- stale_bound is up to where, in microseconds, windows may hold rows that are gone;
-- nil when none does. Both are fields of the bookkeeping: what was written up to
-- stale, and is dated ahead of that by no more than ahead.
local function stale_bound(stale, ahead)
  stale = tonumber(stale or '0')
  if stale == 0 then return nil end
  return math.min(stale + tonumber(ahead or '0'), 9007199254740991)
end

local function is_stale(ns, bound) return bound ~= nil and ns * 1000000 <= bound end

-- missing_text is the JSON array of the missing shards.
local function missing_text(e)
  if e.missing == '-' then return '[]' end
  return '["' .. string.gsub(e.missing, ',', '","') .. '"]'
end

-- meta_list is what readers see of a window.
local function meta_list(e, start, size, gen)
  local list = {'state', e.state, 'revision', int(e.revision), 'complete', e.complete,
                'missing', missing_text(e), 'groups', int(e.groups), 'end', int(start + size), 'generation', gen}
  if e.stale then
    list[#list + 1] = 'stale'
    list[#list + 1] = '1'
  end
  return list
end

-- The list of windows not yet complete, as text and as a set.
local function parse_starts(text)
  local set = {}
  for s in string.gmatch(text or '', '%d+') do set[s] = tonumber(s) end
  return set
end

local function starts_text(set)
  local list = {}
  for _, ns in pairs(set) do list[#list + 1] = ns end
  table.sort(list)
  for i = 1, #list do list[i] = int(list[i]) end
  -- The embedded server bounds what concat takes: it pushes each twice.
  local out, half = {}, CHUNK / 2
  for i = 1, #list, half do out[#out + 1] = table.concat(list, ' ', i, math.min(i + half - 1, #list)) end
  return table.concat(out, ' ')
end

-- low_high reads the lowest and highest watermark of a partition.
local function low_high(text)
  local low, high = string.match(text or '', '^(%d+) (%d+)$')
  return tonumber(low or '0'), tonumber(high or '0')
end

-- publish_entry gives a window its next revision, above the last one and, after
-- Redis lost its newest writes, above any that was handed out.
local function publish_entry(e, now)
  e.revision = math.max(e.revision + 1, now)
  if e.state == 'open' then e.state = 'closed' else e.state = 'revised' end
end

-- announce adds a publication of a window to the stream of events, which keeps
-- about so many.
local function announce(key, limit, e, start, stop)
  local entry = {'start', start, 'end', int(stop), 'state', e.state,
                 'revision', int(e.revision), 'complete', e.complete, 'missing', missing_text(e)}
  if e.stale then
    entry[#entry + 1] = 'stale'
    entry[#entry + 1] = '1'
  end
  redis.call('XADD', key, 'MAXLEN', '~', limit, '*', unpack(entry))
end

local function millis()
  local t = redis.call('TIME')
  return tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000)
end
