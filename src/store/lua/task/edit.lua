-- A person changes what a task was delegated with, while no attempt of it runs. What is not named stays.
-- KEYS: 1 prefix
-- ARGV: 1 id, 2 changes (JSON: text, role, priority, labels (JSON as it is stored), after (a list), timeout_ms, deadline_ms ('' for
--       none), retries), 3 max_wait (ms), 4 reason
-- Returns: {state before, state afterwards}
-- Refuses: unknown, damaged (its record does not read), task_runs (an attempt of it runs), task_ended (it succeeded or was skipped;
--          the detail is the task and its state), awaits_acceptance (its result waits to be accepted; the detail names that question), unknown_dependency, ancestor (what it is to come after waits for it),
--          dependency_ended (how that has ended keeps it from starting; the detail is that task and its state)
local id, to, max_wait, reason = ARGV[1], cjson.decode(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
local f = get(id, 'state', 'role', 'priority', 'after', 'parent', 'edges', 'unapproved', 'awaits', 'created_at', 'place', 'holds')
local state, role = f[1], f[2]
if not state then return refuse(REFUSAL.unknown, id) end
if not is_sound(id) then return refuse(REFUSAL.damaged, id) end
if state == 'running' then return refuse(REFUSAL.task_runs, id) end
if state == 'held' and f[11] == 'acceptance' then return refuse(REFUSAL.awaits_acceptance, id .. '#' .. redis.call('LLEN', P .. 'questions:' .. id)) end
if state == 'succeeded' or state == 'skipped' then return refuse(REFUSAL.task_ended, id .. ' ' .. state) end
local open
if to.after then
  for _, first in ipairs(to.after) do
    if not get(first, 'state')[1] then return refuse(REFUSAL.unknown_dependency, first) end
    if first == id or leads_to(first, id) then return refuse(REFUSAL.ancestor, first) end
  end
  if OPEN[state] then
    local ended, its_state
    open, ended, its_state = open_predecessors(to.after, decoded(f[6] or ''), with_ancestors(f[5]), id)
    if not open then return refuse(REFUSAL.dependency_ended, ended .. ' ' .. its_state) end
  end
end

local record = P .. 'task:' .. id
local function set(field, value)
  if value == nil then return end
  if value == '' then redis.call('HDEL', record, field) else redis.call('HSET', record, field, value) end
end
-- One that waits for a lock looks for it again.
local parked = state == 'ready' and get(id, 'parked')[1]
if parked then
  leave_queue(id, parked)
  redis.call('HDEL', record, 'parked')
elseif state == 'ready' and get(id, 'short')[1] then
  -- One that waits for its plan's budget does so, too.
  leave_short(id, get(id, 'short')[1])
elseif state == 'ready' then
  quit_ready(id, role)
end
for _, field in ipairs({'text', 'role', 'priority', 'labels', 'retries', 'timeout_ms', 'deadline_ms'}) do set(field, to[field]) end
if to.priority then
  -- As `place_of` counts: by the time of acceptance and the rank of its priority.
  local step = max_wait * 400
  local place = place_in(id) + ((RANK[to.priority] or RANK.normal) - (RANK[f[3]] or RANK.normal)) * step
  if f[10] then redis.call('HSET', record, 'place', string.format('%.0f', place)) end
end
if to.deadline_ms and OPEN[state] then
  redis.call('ZREM', P .. 'deadlines', id)
  redis.call('HDEL', record, 'deadline_at')
  if to.deadline_ms ~= '' then set_deadline(id, number(f[9]) + to.deadline_ms) end
end
event(EVENT.task_edited, id, nil, nil, nil, reason)
if state == 'ready' then
  role = to.role or role
  join_ready(id, role)
  wake_role(role)
  judge_plans()
end
role = to.role or role
if to.after then
  local reads, before = pcall(cjson.decode, f[4] and f[4] ~= '' and f[4] or '[]')
  for _, first in ipairs(reads and type(before) == 'table' and before or {}) do
    redis.call('SREM', P .. 'dependents:' .. first, id)
    redis.call('SREM', P .. 'deps:' .. id, first)
  end
  set('after', #to.after > 0 and cjson.encode(to.after) or '')
  for _, first in ipairs(to.after) do redis.call('SADD', P .. 'dependents:' .. first, id) end
  -- A task whose program has ended waits for its subtasks, and starts again when these have ended.
  local waits = state == 'ready' or state == 'blocked' and not f[8] or state == 'held' and f[7]
  if open and waits then
    if state == 'blocked' then redis.call('DEL', P .. 'deps:' .. id) end
    wait_for(id, open)
    if state == 'ready' and #open > 0 then
      move(id, 'ready', 'blocked', role, nil, nil, reason)
      return {'ready', 'blocked'}
    elseif state == 'blocked' and #open == 0 then
      move(id, 'blocked', 'ready', role, nil, nil, reason)
      return {'blocked', 'ready'}
    end
  end
end
return {state, state}
