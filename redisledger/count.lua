-- Adds a sighting to what is known of a fingerprint, and returns the count of
-- its request.
--
-- KEYS[1]  the hash of the fingerprint: "s" is when it was last seen, "c..." the
--          count of a request, "e..." an end that matched no request
-- ARGV[1]  the field of the request's count, empty to count nothing
-- ARGV[2]  where counting begins, for a request that is not known
-- ARGV[3]  how much to add
-- ARGV[4]  when it was seen, in microseconds, empty for no sighting
-- ARGV[5]  for how long the key is kept, in milliseconds
-- ARGV[6]  how many fields the hash may hold before old counts are looked for
local key, field, seen = KEYS[1], ARGV[1], ARGV[4]

-- A fingerprint that goes on having new requests keeps the counts of the newest
-- ones. A count that is forgotten begins again at what the cluster shows.
local kept = 16

local function forget()
  local counts = {}
  for _, name in ipairs(redis.call('HKEYS', key)) do
    local sequence = string.match(name, '^c(%d+)%.')
    if sequence then
      counts[#counts + 1] = {name = name, sequence = tonumber(sequence)}
    end
  end
  table.sort(counts, function(a, b)
    if a.sequence ~= b.sequence then return a.sequence > b.sequence end
    return a.name > b.name
  end)
  for i = kept + 1, #counts do
    redis.call('HDEL', key, counts[i].name)
  end
end

local total = 0
if field ~= '' then
  local new = redis.call('HSETNX', key, field, ARGV[2])
  if new == 1 and redis.call('HLEN', key) > tonumber(ARGV[6]) then
    forget()
  end
  total = redis.call('HINCRBY', key, field, ARGV[3])
end
if seen ~= '' then
  local known = redis.call('HGET', key, 's')
  if not known or tonumber(known) < tonumber(seen) then
    redis.call('HSET', key, 's', seen)
  end
end
redis.call('PEXPIRE', key, ARGV[5])
return total
