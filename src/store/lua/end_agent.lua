-- An agent has ended, or is given up: its attempt ends with it. What may be left of its processes is noted in
-- `remains` until somebody has seen that nothing is.
-- KEYS: 1 prefix
-- ARGV: 1 agent, 2 incarnation, 3 'stopped' or 'failed', 4 reason, 5 cause of its attempt's end, 6 that reason,
--       7 delay until the next try (ms), 8 remains (JSON or '')
-- Returns: {'1' if this call ended it, the task whose attempt ended with it or '', that task's state then or ''}; the
--          latter two the same when it is sent again
-- Refuses: stale
local agent, to = ARGV[1], ARGV[3]
if to ~= 'stopped' and to ~= 'failed' then error('an agent ends as stopped or failed, not as ' .. to) end
local record = P .. 'agent:' .. agent
local a = redis.call('HMGET', record, 'state', 'incarnation', 'role', 'task', 'fence', 'last_task', 'last_state')
if a[2] ~= ARGV[2] then return refuse('stale', agent) end
if a[1] == 'failed' or a[1] == 'stopped' then return {'0', a[7] and a[6] or '', a[7] or ''} end
local task, state = '', ''
if a[4] then
  local f = get(a[4], 'state', 'agent', 'fence')
  if f[1] == 'running' and f[2] == agent and f[3] == a[5] then
    task = a[4]
    state = end_attempt(task, ARGV[5], ARGV[6], '', '', ARGV[7])
    redis.call('HSET', record, 'last_state', state)
  end
  redis.call('HDEL', record, 'task', 'attempt', 'fence', 'needs')
  redis.call('HSET', record, 'last_task', a[4])
end
-- The table knows no way from starting, idle or busy to stopped but through stopping.
if to == 'stopped' and a[1] ~= 'stopping' then
  move_agent(agent, a[1], 'stopping', a[3], task, ARGV[4])
  a[1] = 'stopping'
end
if ARGV[8] ~= '' then redis.call('HSET', P .. 'remains', ARGV[2], ARGV[8]) end
move_agent(agent, a[1], to, a[3], task, ARGV[4])
-- It may have taken a marker.
offer(a[3])
wake('supervisor')
return {'1', task, state}
