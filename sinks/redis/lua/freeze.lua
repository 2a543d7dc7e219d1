-- Ends the merges of a generation in one bucket, so that its positions stand
-- still while another takes over. Its windows stay.
-- KEYS: generations, bookkeeping. Replies with the position of each partition.

local G, S = KEYS[1], KEYS[2]
local gen, state_ttl = arg(), arg()

local wrong = wrongtype(G, 'hash') or wrongtype(S, 'hash')
if wrong then return wrong end
redis.call('HSET', G, 'frozen', gen)
redis.call('PEXPIRE', G, state_ttl)
local out = {'OK'}
for p = 0, num() - 1 do out[p + 2] = redis.call('HGET', S, 'p:' .. int(p)) or '' end
return out
