-- The values of min and max.
--
-- A group's accumulator is "<rows> <values> <length> <order text><public text>":
-- how many rows and values it has, and the best value with the length of its
-- order text. Where nothing is taken back that is all.
--
-- Where values are taken back (rows: latest), a value of a group is also a field
-- of the accumulators, <group> NUL <order text>, that holds how often it is
-- there and its public text; those that are there are members of the window's
-- sorted set, whose scores are all 0, so that the order of their bytes is the
-- order of values. The set is asked only when the best value is taken back.

local NUL, AFTER = '\0', '\1'

-- The empty member keeps the set alive while the window has no values, so that
-- a set that is not there has been lost.
local ALIVE = ''

-- before compares bytes; the server's own comparison of texts may follow the
-- locale.
local function before(a, b)
  for i = 1, math.min(#a, #b) do
    local x, y = string.byte(a, i), string.byte(b, i)
    if x ~= y then return x < y end
  end
  return #a < #b
end

local function better(kind, a, b)
  if kind == 'max' then return before(b, a) end
  return before(a, b)
end

local function best_state(rows, values, order, public)
  return rows .. ' ' .. values .. ' ' .. #order .. ' ' .. order .. public
end

-- read_values looks up the values that a window's deltas change and may take
-- back. It returns false when a stored one cannot be read.
local function read_values(w)
  w.members, w.counts, w.value_states = {}, {}, {}
  for g = 1, #w.groups do
    local v = w.values[g]
    for i = 1, #v, 3 do w.members[#w.members + 1] = w.groups[g] .. NUL .. v[i] end
  end
  local olds = {}
  if not w.new and #w.members > 0 then olds = hmget(w.a, w.members) end
  local at = 0
  for g = 1, #w.groups do
    local v = w.values[g]
    for i = 1, #v, 3 do
      at = at + 1
      if olds[at] then
        local old = string.match(olds[at], '^(%-?%d+) ')
        if not old then return false end
        v[i + 2] = add(old, v[i + 2])
      end
      w.counts[at] = v[i + 2]
      w.value_states[2 * at - 1], w.value_states[2 * at] = w.members[at], v[i + 2] .. ' ' .. v[i + 1]
    end
  end
  return true
end

-- merge_values merges the values v of a group, whose numbers are what will be
-- stored, into its accumulator old. It returns the new one and the public text,
-- or nothing when old cannot be read; and whether the set must be asked.
local function merge_values(kind, old, rows, values, v)
  local order, public, ask = nil, 'null', false
  if old then
    if old == OVERFLOW then return OVERFLOW, OVERFLOW end
    local _, stop, r, n, length = string.find(old, '^(%-?%d+) (%-?%d+) (%d+) ')
    if not r then return end
    rows, values = add(r, rows), add(n, values)
    if stop + tonumber(length) < #old then
      order = string.sub(old, stop + 1, stop + tonumber(length))
      public = string.sub(old, stop + tonumber(length) + 1)
    end
  end
  if #rows > COUNT_DIGITS then return OVERFLOW, OVERFLOW end
  for i = 1, #v, 3 do
    if v[i + 2] == '0' or string.byte(v[i + 2], 1) == 45 then
      ask = ask or v[i] == order
    elseif not order or better(kind, v[i], order) then
      order, public = v[i], v[i + 1]
    end
  end
  if values == '0' then return best_state(rows, values, '', ''), 'null', false end
  return best_state(rows, values, order or '', order and public or ''), public, ask or not order
end

-- chunks calls a command with a key and parts of a list.
local function chunks(command, key, list)
  for i = 1, #list, CHUNK do
    redis.call(command, key, unpack(list, i, math.min(i + CHUNK - 1, #list)))
  end
end

-- order_values writes the values and brings the sorted set in step with them.
local function order_values(w)
  local there, gone, none = {'0', ALIVE}, {}, {}
  for i, member in ipairs(w.members) do
    local n = w.counts[i]
    if n == '0' then none[#none + 1] = member end
    if n == '0' or string.byte(n, 1) == 45 then
      gone[#gone + 1] = member
    else
      there[#there + 1] = '0'
      there[#there + 1] = member
    end
  end
  hset(w.a, w.value_states)
  chunks('ZADD', w.o, there)
  chunks('ZREM', w.o, gone)
  chunks('HDEL', w.a, none)
end

-- find_best asks the set for the best value of a group, and returns its new
-- accumulator and public text, or nothing when its values are not what they
-- should be. Below zero rows nothing is as it should be, and nothing is best.
local function find_best(w, kind, group, state)
  local rows, values = string.match(state, '^(%-?%d+) (%-?%d+) ')
  local best
  if kind == 'min' then
    best = redis.call('ZRANGEBYLEX', w.o, '[' .. group .. NUL, '(' .. group .. AFTER, 'LIMIT', '0', '1')[1]
  else
    best = redis.call('ZREVRANGEBYLEX', w.o, '(' .. group .. AFTER, '[' .. group .. NUL, 'LIMIT', '0', '1')[1]
  end
  if best then
    local public = string.match(redis.call('HGET', w.a, best) or '', '^%d+ (.*)$')
    if not public then return end
    return best_state(rows, values, string.sub(best, #group + 2), public), public
  end
  if string.byte(rows, 1) ~= 45 and string.byte(values, 1) ~= 45 then return end
  return best_state(rows, values, '', ''), 'null'
end
