-- Records the progress that an attempt's program reports. A repeated call is recorded twice: nothing else depends on it.
-- KEYS: 1 prefix
-- ARGV: 1 task, 2 fence, 3 incarnation, 4 what it says
-- Returns: 'ok'
-- Refuses: stale (the attempt is over)
local id = ARGV[1]
local f = get(id, 'state', 'fence', 'incarnation', 'agent')
if f[1] ~= 'running' or f[2] ~= ARGV[2] or f[3] ~= ARGV[3] then return refuse(REFUSAL.stale, id) end
redis.call('HSET', P .. 'agent:' .. f[4], 'progress_at', now)
event(EVENT.task_progress, id, f[4], nil, nil, ARGV[4])
return 'ok'
