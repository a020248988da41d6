-- Asks an agent to stop; with 'idle', only if it has no task at this moment.
-- KEYS: 1 prefix
-- ARGV: 1 agent, 2 incarnation, 3 'idle' or 'any', 4 reason
-- Returns: the agent's state afterwards
-- Refuses: stale
local a = redis.call('HMGET', P .. 'agent:' .. ARGV[1], 'state', 'incarnation', 'role', 'task')
if a[2] ~= ARGV[2] then return refuse(REFUSAL.stale, ARGV[1]) end
if not allows(AGENT, a[1] or '', 'stopping') or (ARGV[3] == 'idle' and a[1] == 'busy') then return a[1] end
move_agent(ARGV[1], a[1], 'stopping', a[3], a[4], ARGV[4])
wake('agent:' .. ARGV[1])
return 'stopping'
