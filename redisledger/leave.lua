-- Takes an entry out of a storm's window.
--
-- KEYS[1]  the sorted set of the group, as for enter.lua
-- ARGV[1]  the entry's id
local key, id = KEYS[1], ARGV[1]
local arrival = redis.call('ZSCORE', key, 'i' .. id)
if not arrival then return 0 end
local number = string.format('%015.0f', -tonumber(arrival))
redis.call('ZREM', key, 'p' .. number .. id, 'i' .. id, 's' .. number)
if redis.call('ZCOUNT', key, '(0', '+inf') == 0 then
  redis.call('DEL', key)
end
return 1
