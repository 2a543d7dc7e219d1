-- The values of min and max. A value of a group is a field of the accumulators,
-- <group> NUL <order text>, that holds how often it is there and its public
-- text; those that are there are members of the window's sorted set, whose
-- scores are all 0, so that the order of their bytes is the order of values.

local NUL, AFTER = '\0', '\1'

-- The empty member keeps the set alive while the window has no values, so that
-- a set that is not there has been lost.
local ALIVE = ''

-- read_values looks up the values that a window's deltas change. It returns
-- false when a stored one cannot be read.
local function read_values(w)
  w.members, w.counts = {}, {}
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
      local n = v[i + 2]
      if olds[at] then
        local old = string.match(olds[at], '^(%-?%d+) ')
        if not old then return false end
        n = add(old, n)
      end
      w.counts[at] = n
      w.states[#w.states + 1] = w.members[at]
      w.states[#w.states + 1] = n .. ' ' .. v[i + 1]
    end
  end
  return true
end

-- chunks calls a command with a key and parts of a list.
local function chunks(command, key, list)
  for i = 1, #list, CHUNK do
    redis.call(command, key, unpack(list, i, math.min(i + CHUNK - 1, #list)))
  end
end

-- order_values brings the sorted set in step with the values just written, and
-- deletes those that are no longer there.
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
  chunks('ZADD', w.o, there)
  chunks('ZREM', w.o, gone)
  chunks('HDEL', w.a, none)
end

-- extreme returns the public text of the smallest or largest value of a group,
-- or nothing when its values are not what they should be. one says that a group
-- needs no other value than that.
local function extreme(w, kind, group, one)
  local best
  if kind == 'min' then
    best = redis.call('ZRANGEBYLEX', w.o, '[' .. group .. NUL, '(' .. group .. AFTER, 'LIMIT', '0', '1')[1]
  else
    best = redis.call('ZREVRANGEBYLEX', w.o, '(' .. group .. AFTER, '[' .. group .. NUL, 'LIMIT', '0', '1')[1]
  end
  if not best then return end
  if one then
    for _, member in ipairs(redis.call('ZRANGEBYLEX', w.o, '[' .. group .. NUL, '(' .. group .. AFTER)) do
      if member ~= best then
        redis.call('ZREM', w.o, member)
        redis.call('HDEL', w.a, member)
      end
    end
  end
  return string.match(redis.call('HGET', w.a, best) or '', '^%d+ (.*)$')
end
