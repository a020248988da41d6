-- Records why the first occurrence of a schedule that waits does not run yet.
-- KEYS: 1 prefix
-- ARGV: 1 schedule, 2 the occurrence (ms), 3 why
-- Returns: 'ok'
local first = redis.call('LINDEX', P .. 'schedule_waiting:' .. ARGV[1], 0)
if first and cjson.decode(first).at == tonumber(ARGV[2]) then
  redis.call('HSET', P .. 'schedule:' .. ARGV[1], 'obstacle', ARGV[3])
end
return 'ok'
