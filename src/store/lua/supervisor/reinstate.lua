-- Records again what Redis has lost: a living agent reports its identity and its attempt, or another process reports
-- what a dead agent left on its disk. What Redis knows better (a later lease, an end) wins.
-- KEYS: 1 prefix
-- ARGV: 1 agent, 2 incarnation, 3 the epoch in which Redis last knew it, 4 the agent (JSON: role, session, master,
--       started_at, tasks_done, host, boot_id, pid, start_time) or '' where it does not live, 5 task or '',
--       6 attempt, 7 fence or '' where the attempt is over, 8 lease (ms), 9 the task (JSON: as for delegate, and depth,
--       failures, lost) or '', 10 its text, 11 its context (JSON or '')
-- Returns: {'ok'}, or {'busy', task, attempt, fence}: Redis knows the agent with an attempt that it has ended, and that
--          end is to be reported first
-- Refuses: stale (it was declared dead, or the task is another's or has ended), taken (an agent of this id lives, as far as
--          Redis knows; it may find out)
local agent, incarnation, id, fence = ARGV[1], ARGV[2], ARGV[5], tonumber(ARGV[7])
if tonumber(redis.call('HGET', P .. 'epoch', 'number') or '0') <= tonumber(ARGV[3]) then return refuse(REFUSAL.stale, agent) end

local living = ARGV[4] ~= '' and cjson.decode(ARGV[4])
local record = P .. 'agent:' .. agent
local a = redis.call('HMGET', record, 'state', 'incarnation', 'task', 'attempt', 'fence')
local recorded = a[1] and a[1] ~= 'failed' and a[1] ~= 'stopped'
if living then
  if a[2] == incarnation and not recorded then return refuse(REFUSAL.stale, agent) end
  if a[2] ~= incarnation and recorded then return refuse(REFUSAL.taken, agent) end
  if recorded and a[3] and (a[3] ~= id or tonumber(a[5]) ~= fence) then return {'busy', a[3], a[4], a[5]} end
end
local t = {}
if id ~= '' then
  t = get(id, 'state', 'fence', 'agent', 'incarnation', 'role')
  local held = t[1] == 'running' and t[3] == agent and t[4] == incarnation and tonumber(t[2]) == fence
  if held then
    id = ''
  elseif t[1] and (not fence or not OPEN[t[1]] or tonumber(t[2] or '0') >= fence) then
    return refuse(REFUSAL.stale, id)
  end
end

-- What was locked before the loss was locked rightly, whatever Redis knows of it. What was claimed since then has priority.
if id ~= '' and fence then
  local f = t[1] and get(id, 'writes', 'reads') or {}
  if not t[1] then
    local spec = cjson.decode(ARGV[9])
    f = {spec.writes, spec.reads}
  end
  local first_fence = number(redis.call('HGET', P .. 'epoch', 'number')) * FENCES_PER_EPOCH
  local function is_new(holder) return number(get(holder, 'fence')[1]) > first_fence end
  for _, want in ipairs(wants_of(f[1], f[2])) do
    if blocker(id, want[1], want[2], is_new) then return refuse(REFUSAL.stale, id) end
  end
end

local why = 'Redis had lost it; ' .. (living and 'taken over from ' .. agent or 'found again on the disk')
if living then
  if not recorded then
    redis.call('DEL', record, P .. 'wake:agent:' .. agent)
    redis.call('HSET', record, 'role', living.role, 'state', 'starting', 'session', living.session, 'incarnation',
      incarnation, 'master', living.master and '1' or '0', 'started_at', living.started_at, 'since', now,
      'tasks_done', living.tasks_done, 'restarts', 0, 'reason', why)
    redis.call('SADD', P .. 'agents', agent)
    event(EVENT.agent_starting, nil, agent, a[1], 'starting', why)
    a[1] = 'starting'
  end
  redis.call('HSET', record, 'host', living.host, 'boot_id', living.boot_id, 'pid', living.pid, 'start_time',
    living.start_time, 'heartbeat_at', now, 'progress_at', now)
  if a[1] == 'starting' then
    move_agent(agent, 'starting', 'idle', living.role, nil, why)
    a[1] = 'idle'
  end
end
if id == '' then return {'ok'} end

if not t[1] then
  local spec = cjson.decode(ARGV[9])
  accept(id, spec, spec.key, ARGV[10], ARGV[11], {}, why)
  redis.call('HSET', P .. 'task:' .. id, 'failures', spec.failures, 'lost', spec.lost, 'number', ARGV[6])
  -- Its subtasks may have been known again before it; it is what their agents are running.
  for _, child in ipairs(redis.call('ZRANGE', P .. 'state:running', 0, -1)) do
    if get(child, 'parent')[1] == id then
      redis.call('RPUSH', P .. 'children:' .. id, child)
      count_child(id, 1)
    end
  end
  t[1], t[5] = 'ready', spec.role
end
for number = redis.call('LLEN', P .. 'attempts:' .. id) + 1, tonumber(ARGV[6]) - (fence and 1 or 0) do
  redis.call('RPUSH', P .. 'attempts:' .. id, cjson.encode({number = number, agent = '', fence = 0, started_at = now,
    ended_at = now, cause = CAUSE.lost, code = CODE.data_lost, reason = 'Redis lost what came of it', next = 'ready'}))
end
if not fence then return {'ok'} end
if t[1] == 'running' then
  t[1] = end_attempt(id, {cause = CAUSE.lost, code = CODE.data_lost, reason = 'Redis lost how it ended', retry_after = 0})
end
if t[1] == 'failed' then return refuse(REFUSAL.stale, id) end
if t[1] ~= 'ready' then move(id, t[1], 'ready', t[5], nil, nil, why) end
redis.call('HSET', P .. 'task:' .. id, 'number', ARGV[6], 'agent', agent, 'incarnation', incarnation, 'fence', ARGV[7])
redis.call('RPUSH', P .. 'attempts:' .. id,
  cjson.encode({number = tonumber(ARGV[6]), agent = agent, fence = exact(fence), started_at = now}))
-- It runs already, whatever the caps say now.
local budgets = budgets_of(t[5])
local left = left_of_task(id, budgets.task)
local plans = plans_of(unpack(get(id, 'plan', 'parent'), 1, 2))
local expected = room_in_plans(plans, budgets)
move(id, 'ready', 'running', t[5], now + ARGV[8], agent, why, nil, nil, reserve(t[5], plans, expected, left))
if living then
  redis.call('HSET', record, 'task', id, 'attempt', ARGV[6], 'fence', ARGV[7], 'deadline',
    deadline_of(unpack(get(id, 'timeout_ms', 'deadline_at'))))
  if a[1] == 'idle' then move_agent(agent, 'idle', 'busy', t[5], id, why) end
end
return {'ok'}
