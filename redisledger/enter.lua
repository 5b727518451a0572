-- Puts an entry into a storm's window, where it keeps its place when it is
-- entered again, and returns its rank and then the entries before it.
--
-- KEYS[1]  the sorted set of the group
-- ARGV[1]  the entry's id
-- ARGV[2]  its time
-- ARGV[3]  since when entries count, 0 for ever
-- ARGV[4]  how far back entries count, exclusive
-- ARGV[5]  how many entries the window holds
-- ARGV[6]  how many of those before it have to be told, 0 for all
-- Times are in microseconds since 1970 and positive, which a double holds.
--
-- The set holds, by the sign of the score, places in time and what belongs to
-- them. <n> is the number of the arrival, in fifteen digits:
--   p<n><id>  the entry's time: places are sorted by time, then arrival
--   i<id>     minus the number of its arrival
--   s<n>      minus since when entries counted for it, unless for ever
--   a, n      minus the last arrival and the newest time
local key, id = KEYS[1], ARGV[1]
local at, since, window = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local bound, limit = tonumber(ARGV[5]), tonumber(ARGV[6])

-- Entries are kept for two windows behind the newest, so that what is entered a
-- little out of order still finds those before it.
local retention = 2

local function text(n) return string.format('%.0f', n) end
local function digits(n) return string.format('%015.0f', n) end
local function score(member)
  local found = redis.call('ZSCORE', key, member)
  return found and tonumber(found)
end

local function remove(who, arrival)
  redis.call('ZREM', key, 'p' .. digits(arrival) .. who, 'i' .. who, 's' .. digits(arrival))
end

-- Forgets places up to a time, that one included.
local function forget(upto)
  if upto <= 0 then return end
  for _, member in ipairs(redis.call('ZRANGEBYSCORE', key, '(0', text(upto))) do
    remove(string.sub(member, 17), tonumber(string.sub(member, 2, 16)))
  end
end

-- Tells whether a place counts for this entry. What is received in one batch is
-- of one time; of it only that counts which came in after the storm before was
-- known to be over.
local function counts(arrival, time)
  if time ~= since then return time > since end
  return -(score('s' .. arrival) or 0) >= since
end

local meta = redis.call('ZMSCORE', key, 'a', 'n', 'i' .. id)
local arrivals = -(tonumber(meta[1] or 0))
local newest = math.max(-(tonumber(meta[2] or 0)), at)
forget(newest - retention * window)

-- The place that the entry has, where that still counts.
local arrival, time = nil, nil
if meta[3] then
  arrival = -tonumber(meta[3])
  time = score('p' .. digits(arrival) .. id)
  if not time then
    arrival = nil -- it was too old
  elseif time <= at - window or not counts(digits(arrival), time) then
    remove(id, arrival)
    arrival = nil
  end
end

local fresh, full = not arrival, false
if fresh then
  arrivals = arrivals + 1
  arrival, time = arrivals, at
  if redis.call('ZCOUNT', key, '(0', '+inf') >= bound then
    forget(newest - window)
    full = redis.call('ZCOUNT', key, '(0', '+inf') >= bound
  end
  if not full then
    redis.call('ZADD', key, text(at), 'p' .. digits(arrival) .. id, text(-arrival), 'i' .. id)
    if since > 0 then
      redis.call('ZADD', key, text(-since), 's' .. digits(arrival))
    end
  end
end
redis.call('ZADD', key, text(-arrivals), 'a', text(-newest), 'n')
redis.call('PEXPIRE', key, text(math.ceil(retention * window / 1000)))

-- Answers for an entry behind all that came after a time.
local function behind(low, rank)
  local answer = {rank}
  local count = limit > 0 and limit + 1 or -1
  for _, member in ipairs(redis.call('ZRANGEBYSCORE', key, low, '+inf', 'LIMIT', 0, count)) do
    if tonumber(string.sub(member, 2, 16)) ~= arrival then
      answer[#answer + 1] = string.sub(member, 17)
    end
  end
  return answer
end

local function edge(command, from, to)
  local found = redis.call(command, key, from, to, 'WITHSCORES', 'LIMIT', 0, 1)
  return found[2] and tonumber(found[2]) or time
end

-- One that came last, and before which all that count lie in one window, needs
-- only their number. So it is in order, and in a burst whatever the order.
if fresh then
  local after = math.max(time - window, since, 0)
  local low = '(' .. text(after)
  local oldest = math.min(edge('ZRANGEBYSCORE', low, '+inf'), time)
  local latest = math.max(edge('ZREVRANGEBYSCORE', '+inf', low), time)
  local together = latest - oldest < window and since < time and
    (since <= time - window or redis.call('ZCOUNT', key, text(since), text(since)) == 0)
  if together or full then
    -- Who finds the window full is so far beyond any threshold that the exact
    -- rank does not matter, and finding it would take as long as the window is.
    return behind(low, redis.call('ZCOUNT', key, low, '+inf') + (full and 1 or 0))
  end
end

-- Those that arrived before the entry and are less than a window away from it.
local ids, times, upto = {}, {}, 0
local around = redis.call('ZRANGEBYSCORE', key,
  '(' .. text(math.max(time - window, 0)), '(' .. text(time + window), 'WITHSCORES')
for i = 1, #around, 2 do
  local member, when = around[i], tonumber(around[i + 1])
  local number = string.sub(member, 2, 16)
  if tonumber(number) < arrival and counts(number, when) then
    ids[#ids + 1], times[#times + 1] = string.sub(member, 17), when
    if when <= time then upto = #ids end
  end
end

-- The fullest window among them that the entry belongs to. In the usual order it
-- is the one that ends with the entry. Entries that are made at the same time
-- come in a little out of order, though; each then still counts behind those
-- that were quicker, else each of them might be the first and no storm ever open.
local first, last, low = 1, upto, 1
for high = upto + 1, #ids do
  while times[high] - times[low] >= window do low = low + 1 end
  if high - low > last - first then first, last = low, high end
end
local answer = {last - first + 2}
for i = first, last do answer[#answer + 1] = ids[i] end
return answer
