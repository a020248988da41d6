-- Registers a runner: its agent goes from starting to idle. Sent again, it changes nothing.
-- KEYS: 1 prefix
-- ARGV: 1 agent, 2 incarnation, 3 host, 4 boot id, 5 pid, 6 start time
-- Returns: the agent's state
-- Refuses: stale (the agent was declared dead, or its id belongs to another incarnation)
local record = P .. 'agent:' .. ARGV[1]
local a = redis.call('HMGET', record, 'state', 'incarnation', 'role')
if a[2] ~= ARGV[2] or a[1] == 'failed' or a[1] == 'stopped' then return refuse(REFUSAL.stale, ARGV[1]) end
redis.call('HSET', record, 'host', ARGV[3], 'boot_id', ARGV[4], 'pid', ARGV[5], 'start_time', ARGV[6], 'heartbeat_at', now)
if a[1] == 'starting' then
  move_agent(ARGV[1], 'starting', 'idle', a[3], nil, 'its runner reported, pid ' .. ARGV[5])
  return 'idle'
end
return a[1]
