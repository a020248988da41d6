-- Ends an attempt whose agent no longer exists (its record is gone, or has an ended state).
-- KEYS: 1 prefix
-- ARGV: 1 task, 2 fence, 3 reason
-- Returns: the task's state, or '' if there was nothing to end
local f = get(ARGV[1], 'state', 'fence', 'agent', 'incarnation')
if f[1] ~= 'running' or f[2] ~= ARGV[2] then return '' end
local a = redis.pcall('HMGET', P .. 'agent:' .. (f[3] or ''), 'state', 'incarnation', 'task')
if a[2] == f[4] and a[3] == ARGV[1] and a[1] ~= 'failed' and a[1] ~= 'stopped' then return '' end
return end_attempt(ARGV[1], {cause = CAUSE.lost, code = CODE.agent_gone, reason = ARGV[3]})
