-- Signed decimal integers as text. A sum is made of limbs of nine digits, each
-- of which a double holds exactly; a number holds a whole value only when the
-- value is one short limb, of at most 14 digits and so far below 2^53.

local BASE, WIDTH, SHORT = 1000000000, 9, 14

-- limbs returns the limbs of a text, least significant first, all of its sign.
local function limbs(s)
  local sign, from = 1, 1
  if string.byte(s, 1) == 45 then sign, from = -1, 2 end
  local l, n, last = {}, 0, #s
  while last >= from do
    local first = math.max(from, last - WIDTH + 1)
    n = n + 1
    l[n] = sign * tonumber(string.sub(s, first, last))
    last = first - 1
  end
  return l, n
end

-- carry brings n limbs into [0, BASE) and returns what is above them.
local function carry(l, n)
  local c = 0
  for i = 1, n do
    local v = l[i] + c
    c = math.floor(v / BASE)
    l[i] = v - c * BASE
  end
  return c
end

-- add returns the sum of two decimal texts.
local function add(x, y)
  if #x <= SHORT and #y <= SHORT then return string.format('%.0f', tonumber(x) + tonumber(y)) end
  local a, n = limbs(x)
  local b, m = limbs(y)
  if m > n then n = m end
  for i = 1, n do a[i] = (a[i] or 0) + (b[i] or 0) end
  local top, sign = carry(a, n), ''
  if top < 0 then
    sign = '-'
    for i = 1, n do a[i] = -a[i] end
    top = -top + carry(a, n)
  end
  n = n + 1
  a[n] = top
  while n > 1 and a[n] == 0 do n = n - 1 end
  local out = {sign, string.format('%.0f', a[n])}
  for i = n - 1, 1, -1 do out[#out + 1] = string.format('%09.0f', a[i]) end
  return table.concat(out)
end

-- decimal places the point of a scaled integer.
local function decimal(s, scale)
  if scale == 0 then return s end
  local sign = ''
  if string.byte(s, 1) == 45 then sign, s = '-', string.sub(s, 2) end
  if #s <= scale then s = string.rep('0', scale - #s + 1) .. s end
  return sign .. string.sub(s, 1, #s - scale) .. '.' .. string.sub(s, -scale)
end

-- What a count and a sum may not exceed: below 2^62, and what MySQL's widest
-- DECIMAL gives over 10^11 rows. A group beyond it is marked and stays so.
local COUNT_DIGITS, SUM_DIGITS = 18, 76
local OVERFLOW = 'overflow'

-- Each aggregate merges the delta at place i of d into the stored text old
-- (false when the group is new), and returns the new text and the public one,
-- or nothing when old cannot be read.
local width = {count = 1, sum = 3}
local merge = {}

function merge.count(old, d, i)
  local rows = d[i]
  if old then
    if old == OVERFLOW then return OVERFLOW, OVERFLOW end
    if not string.find(old, '^%-?%d+$') then return end
    rows = add(old, rows)
  end
  if #rows > COUNT_DIGITS then return OVERFLOW, OVERFLOW end
  return rows, rows
end

function merge.sum(old, d, i, scale)
  local rows, values, sum = d[i], d[i + 1], d[i + 2]
  if old then
    if old == OVERFLOW then return OVERFLOW, OVERFLOW end
    local r, v, s = string.match(old, '^(%-?%d+) (%-?%d+) (%-?%d+)$')
    if not r then return end
    rows, values, sum = add(r, rows), add(v, values), add(s, sum)
  end
  if #rows > COUNT_DIGITS or #sum > SUM_DIGITS then return OVERFLOW, OVERFLOW end
  local state = rows .. ' ' .. values .. ' ' .. sum
  if values == '0' then return state, 'null' end
  return state, decimal(sum, scale)
end
