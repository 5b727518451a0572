-- Gives out a place in the budget, or tells which limit leaves no room: 0 for a
-- place, 1 for the namespace's limit, 2 for the limit of all. Beside that it
-- tells the mark with which the hash was begun: who finds another than before
-- knows that Redis has lost the places given out until then.
--
-- KEYS[1]  the hash of the places, by id: when it was given out, and its namespace
-- ARGV[1]  the time, in milliseconds since 1970
-- ARGV[2]  for how long a place counts that is not seen, in milliseconds
-- ARGV[3]  the id, ARGV[4] its namespace, empty for none
-- ARGV[5]  the namespace's limit, 0 for none
-- ARGV[6]  the limit of all, 0 for none
-- ARGV[7]  a new mark
-- ARGV[8]  for how long the hash is kept, in milliseconds
-- ARGV[9]  and so on: id and namespace of the places that are seen taken
local key, now, life = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2])
local id, namespace = ARGV[3], ARGV[4]
local markField = 'mark'

local all, near = 0, 0
local function count(where)
  all = all + 1
  if namespace ~= '' and where == namespace then near = near + 1 end
end

local seen = {}
for i = 9, #ARGV, 2 do
  seen[ARGV[i]] = true
  if ARGV[i] ~= id then count(ARGV[i + 1]) end
end
local mark
local places = redis.call('HGETALL', key)
for i = 1, #places, 2 do
  local other, value = places[i], places[i + 1]
  if other == markField then
    mark = value
  elseif other ~= id and not seen[other] then
    local space = string.find(value, ' ', 1, true)
    if now - tonumber(string.sub(value, 1, space - 1)) > life then
      redis.call('HDEL', key, other)
    else
      count(string.sub(value, space + 1))
    end
  end
end
if not mark then
  mark = ARGV[7]
  redis.call('HSET', key, markField, mark)
end
redis.call('PEXPIRE', key, ARGV[8])

local limitNear, limitAll = tonumber(ARGV[5]), tonumber(ARGV[6])
if limitNear > 0 and namespace ~= '' and near >= limitNear then return {1, mark} end
if limitAll > 0 and all >= limitAll then return {2, mark} end
redis.call('HSET', key, id, ARGV[1] .. ' ' .. namespace)
return {0, mark}
