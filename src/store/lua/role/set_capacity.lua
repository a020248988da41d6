-- Records how many agents of a role may have a task at the same time.
-- KEYS: 1 prefix
-- ARGV: 1 role, 2 how many
-- Returns: 'ok'
local field = 'max:' .. ARGV[1]
if redis.call('HGET', P .. 'limits', field) ~= ARGV[2] then
  redis.call('HSET', P .. 'limits', field, ARGV[2])
  offer(ARGV[1])
end
return 'ok'
