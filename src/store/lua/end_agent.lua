-- An agent has ended, or is given up: its attempt ends with it. What may be left of its processes is noted in
-- `remains` until somebody has seen that nothing is.
-- KEYS: 1 prefix
-- ARGV: 1 agent, 2 incarnation, 3 'stopped' or 'failed', 4 reason, 5 cause of its attempt's end, 6 that reason,
--       7 delay until the next try (ms), 8 remains (JSON or '')
-- Returns: {'1' if this call ended it, the task it had or '', that task's state or ''}
-- Refuses: stale
local agent, to = ARGV[1], ARGV[3]
local a = redis.call('HMGET', P .. 'agent:' .. agent, 'state', 'incarnation', 'role', 'task', 'fence')
if a[2] ~= ARGV[2] then return refuse('stale', agent) end
if a[1] == 'failed' or a[1] == 'stopped' then return {'0', '', ''} end
local task, state = '', ''
if a[4] then
  local f = get(a[4], 'state', 'agent', 'fence')
  if f[1] == 'running' and f[2] == agent and f[3] == a[5] then
    task = a[4]
    state = end_attempt(task, ARGV[5], ARGV[6], '', '', ARGV[7])
  end
  redis.call('HDEL', P .. 'agent:' .. agent, 'task', 'attempt', 'fence', 'needs')
  redis.call('HSET', P .. 'agent:' .. agent, 'last_task', a[4])
end
-- The table knows no way from starting, idle or busy to stopped but through stopping.
if to == 'stopped' and a[1] ~= 'stopping' then
  move_agent(agent, a[1], 'stopping', a[3], task, ARGV[4])
  a[1] = 'stopping'
end
if ARGV[8] ~= '' then redis.call('HSET', P .. 'remains', ARGV[2], ARGV[8]) end
move_agent(agent, a[1], to, a[3], task, ARGV[4])
wake('supervisor')
return {'1', task, state}
