-- Pauses a schedule, or lets it go on: its occurrences in between do not run.
-- KEYS: 1 prefix
-- ARGV: 1 schedule, 2 who asks, in words, 3 '1' to pause it, '' to let it go on
-- Returns: '1' if that has changed something, else '0'
-- Refuses: unknown
local name, record = ARGV[1], P .. 'schedule:' .. ARGV[1]
local f = redis.call('HMGET', record, 'mark', 'paused_at', 'resumed_at')
if not f[1] then return refuse(REFUSAL.unknown, name) end
local is_paused, pauses = f[2] and not f[3], ARGV[3] == '1'
if pauses == (is_paused or false) then return '0' end
if pauses then
  redis.call('HSET', record, 'paused_at', now, 'paused_by', ARGV[2])
  redis.call('HDEL', record, 'resumed_at')
  event(EVENT.schedule_paused, nil, nil, nil, nil, 'schedule ' .. name .. ' was paused by ' .. ARGV[2], cjson.encode({schedule = name}))
else
  redis.call('HSET', record, 'resumed_at', now)
  event(EVENT.schedule_resumed, nil, nil, nil, nil, 'schedule ' .. name .. ' goes on, asked for by ' .. ARGV[2], cjson.encode({schedule = name}))
end
wake('schedules')
return '1'
