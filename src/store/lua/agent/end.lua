-- Ends an agent that has exited or was declared dead, and its attempt with it. Processes that it may have left are
-- recorded in `orphans` until the supervisor has verified that none is left. One that fails young, without having done
-- anything, opens its role's breaker: none is started for a while, twice as long each time. (The master's goes by its
-- own id.)
-- KEYS: 1 prefix
-- ARGV: 1 agent, 2 incarnation, 3 'stopped' or 'failed', 4 reason, 5 cause of its attempt's end, 6 that reason,
--       7 orphans (JSON or ''), 8 evidence (JSON or ''): what was known, and the rule that decided, 9 code of the end
-- Returns: {'1' if this call ended it, the task whose attempt ended with it or '', that task's state then or ''}; the
--          latter two the same when it is sent again
-- Refuses: stale
local function open_breaker(role, who, why)
  local record = P .. 'breaker:' .. role
  local b = redis.call('HMGET', record, 'failures', 'until')
  -- An agent that was started before the pause began is no further failure: a whole fleet may fail together.
  if tonumber(b[2] or '0') > now then return end
  local failures = tonumber(b[1] or '0') + 1
  local pause = math.min(BREAKER_LONGEST_PAUSE, BREAKER_FIRST_PAUSE * 2 ^ math.min(failures - 1, 20))
  local often = failures > 1 and ', ' .. failures .. ' times in a row' or ''
  local reason = who .. ' failed right after it started' .. often .. ': ' .. why
  redis.call('HSET', record, 'failures', failures, 'until', now + pause, 'reason', reason)
  redis.call('PEXPIRE', record, BREAKER_KEPT)
  event(EVENT.role_backoff, nil, nil, nil, nil, reason)
end

local agent, to = ARGV[1], ARGV[3]
if to ~= 'stopped' and to ~= 'failed' then error('an agent ends as stopped or failed, not as ' .. to) end
local record = P .. 'agent:' .. agent
local a = redis.call('HMGET', record, 'state', 'incarnation', 'role', 'task', 'fence', 'last_task', 'last_state',
  'tasks_done', 'started_at', 'master', 'supervisor_start')
if a[2] ~= ARGV[2] then return refuse(REFUSAL.stale, agent) end
if a[1] == 'failed' or a[1] == 'stopped' then return {'0', a[7] and a[6] or '', a[7] or ''} end
local task, state = '', ''
if a[4] then
  local f = get(a[4], 'state', 'agent', 'fence')
  if f[1] == 'running' and f[2] == agent and f[3] == a[5] then
    task = a[4]
    state = end_attempt(task, {cause = ARGV[5], code = ARGV[9], reason = ARGV[6], evidence = ARGV[8], role = a[3]})
    redis.call('HSET', record, 'last_state', state)
  end
  redis.call('HDEL', record, 'task', 'attempt', 'fence', 'deadline')
  redis.call('HSET', record, 'last_task', a[4])
end
redis.call('HDEL', record, unpack(WAIT))
-- The table knows no way from starting, idle or busy to stopped but through stopping.
if to == 'stopped' and a[1] ~= 'stopping' then
  move_agent(agent, a[1], 'stopping', a[3], task, ARGV[4], nil, ARGV[9])
  a[1] = 'stopping'
end
if ARGV[7] ~= '' then redis.call('HSET', P .. 'orphans', ARGV[2], ARGV[7]) end
if ARGV[8] ~= '' then redis.call('HSET', record, 'evidence', ARGV[8]) end
move_agent(agent, a[1], to, a[3], task, ARGV[4], ARGV[8], ARGV[9])
local young = tonumber(a[8] or '0') == 0 and now - (tonumber(a[9]) or 0) < BREAKER_PROVEN
-- An agent of an earlier supervisor may have died with it: that says nothing about the next one.
local is_ours = a[11] == redis.call('GET', P .. 'supervisor_starts')
if to == 'failed' and young and is_ours then open_breaker(a[10] == '1' and agent or a[3], agent, ARGV[4]) end
-- It may have taken a marker.
offer(a[3])
wake('supervisor')
return {'1', task, state}
