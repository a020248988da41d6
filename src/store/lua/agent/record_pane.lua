-- Records the process of a pane that was just opened, so that its death is noticed before its runner has reported.
-- KEYS: 1 prefix
-- ARGV: 1 agent, 2 incarnation, 3 host, 4 boot id, 5 pid, 6 start time
-- Returns: 'ok'
-- Refuses: stale
local record = P .. 'agent:' .. ARGV[1]
if redis.call('HGET', record, 'incarnation') ~= ARGV[2] then return refuse(REFUSAL.stale, ARGV[1]) end
redis.call('HSET', record, 'host', ARGV[3], 'boot_id', ARGV[4], 'pid', ARGV[5], 'start_time', ARGV[6])
return 'ok'
