-- Keeps the end of an alert that matched no request. Of several ends of one
-- alert the newest start and the latest receipt stand.
--
-- KEYS[1]  the hash of the fingerprint, as for count.lua
-- ARGV[1]  the field of the alert's end
-- ARGV[2]  when the alert began, in microseconds, empty if not known
-- ARGV[3]  when its end was received, in microseconds
-- ARGV[4]  for how long the end is kept, in milliseconds
-- ARGV[5]  how many ends are kept
local key, field, starts, received = KEYS[1], ARGV[1], ARGV[2], ARGV[3]
local kept = tonumber(ARGV[5])

-- Times are compared as numbers and written as they came: a number in Lua would
-- lose the last digits of a start that lies centuries away.
local function later(a, b)
  if a == '' or b ~= '' and tonumber(b) > tonumber(a) then return b end
  return a
end

-- Drops ends that came too long ago, and where there are too many nonetheless
-- the oldest quarter, so that this is not done again at once.
local function forget()
  local ends = {}
  local all = redis.call('HGETALL', key)
  local horizon = tonumber(received) - tonumber(ARGV[4]) * 1000
  for i = 1, #all, 2 do
    if string.sub(all[i], 1, 1) == 'e' then
      local at = tonumber(string.match(all[i + 1], ' (%-?%d+)$')) or 0
      if at <= horizon then
        redis.call('HDEL', key, all[i])
      else
        ends[#ends + 1] = {name = all[i], at = at}
      end
    end
  end
  if #ends <= kept then return end
  table.sort(ends, function(a, b)
    if a.at ~= b.at then return a.at > b.at end
    return a.name > b.name
  end)
  for i = math.floor(kept * 3 / 4) + 1, #ends do
    redis.call('HDEL', key, ends[i].name)
  end
end

local known = redis.call('HGET', key, field)
if known then
  local from, to = string.match(known, '^(%-?%d*) (%-?%d*)$')
  if from then
    starts, received = later(starts, from), later(received, to)
  end
end
redis.call('HSET', key, field, starts .. ' ' .. received)
if not known and redis.call('HLEN', key) > kept then
  forget()
end
-- The key may hold counts, which are kept for longer.
if redis.call('PTTL', key) < tonumber(ARGV[4]) then
  redis.call('PEXPIRE', key, ARGV[4])
end
return 1
