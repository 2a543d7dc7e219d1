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
local width = {count = 1, sum = 3, avg = 3, min = 2, max = 2}
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

-- divide returns the quotient of a decimal text and a positive number of at
-- most 14 digits, with digits behind the point; the remainder says whether
-- anything is left.
local function divide(s, by, digits)
  local n = tonumber(by)
  local w = 15 - #by -- a remainder and w digits stay below 10^15
  s = s .. string.rep('0', digits)
  local out, rest, first = {}, 0, 1
  local last = (#s - 1) % w + 1
  while first <= #s do
    local x = rest * 10 ^ (last - first + 1) + tonumber(string.sub(s, first, last))
    local q = math.floor(x / n)
    rest = x - q * n
    local text = string.format('%.0f', q)
    out[#out + 1] = string.rep('0', last - first + 1 - #text) .. text
    first, last = last + 1, last + w
  end
  local q = string.gsub(table.concat(out), '^0+', '')
  if q == '' then q = '0' end
  return q, rest, n
end

-- average is a sum divided by its number of values, with the digits of MySQL's
-- AVG: four more than the scale, at most 30, rounded half away from zero. MySQL
-- computes in words of nine digits, and cuts where four more fill the last one.
local function average(sum, values, scale)
  local sign, by = '', values
  if string.byte(sum, 1) == 45 then sign, sum = '-', string.sub(sum, 2) end
  if string.byte(by, 1) == 45 then
    by = string.sub(by, 2)
    if sign == '' then sign = '-' else sign = '' end
  end
  local digits = math.min(scale + 4, 30)
  local q, rest, n = divide(sum, by, digits - scale)
  if (scale + 4) % 9 ~= 0 and rest * 2 >= n then q = add(q, '1') end
  if q == '0' then sign = '' end
  return sign .. decimal(q, digits)
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
  return state, decimal(sum, scale), sum, values
end

function merge.avg(old, d, i, scale)
  local state, text, sum, values = merge.sum(old, d, i, scale)
  if not values then return state, text end
  if #values > SHORT then return OVERFLOW, OVERFLOW end
  return state, average(sum, values, scale)
end
