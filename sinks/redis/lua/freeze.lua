-- Ends the merges of a generation in one bucket, as soon as it has read no more
-- than the one that is to take over. Its windows stay.
-- KEYS: generations, bookkeeping. ARGV: the generation, a time to live, and the
-- position of the other one in each partition.

local G, S = KEYS[1], KEYS[2]
local gen, state_ttl = arg(), arg()

local wrong = wrongtype(G, 'hash') or wrongtype(S, 'hash')
if wrong then return wrong end
for p = 0, num() - 1 do
  local mine, theirs = redis.call('HGET', S, 'p:' .. int(p)), arg()
  if mine then
    local mi, mo = string.match(mine, '^(%S+) (%d+)$')
    local ti, to = string.match(theirs, '^(%S+) (%d+)$')
    if not ti or mi == ti and tonumber(to) < tonumber(mo) then return {'BEHIND'} end
  end
end
redis.call('HSET', G, 'frozen', gen)
redis.call('PEXPIRE', G, state_ttl)
return {'OK'}
