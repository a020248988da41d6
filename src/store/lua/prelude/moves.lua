-- Part of the prelude of every transition: the moves of tasks and agents. Each kind of move is defined once.

local cancel, skip, skip_or_cancel, propagate_end

-- How often a task is resumed after a success, with the results of its subtasks or with messages: a program that delegates
-- again each time must come to an end.
local RESUMED = 100

-- Ends that are propagated one after another and not recursively: a chain of dependents may be longer than Lua's stack
-- is deep, and Redis keeps what a script has written before its stack overflows.
local ended = {}

-- Tasks that are not needed, and which end made them so. They are skipped when all other ends are propagated: one that another
-- end cancels is cancelled, in whatever order the two ends come. Skipping a task cancels no other one.
local skips = {}

local DEADLINE_PASSED = 'its deadline has passed'

-- How many tasks this call has accepted.
local accepted = 0

-- The place of a new task among the ready ones, in microseconds: the lower one starts first. It is the time of acceptance,
-- plus two fifths of `max_wait` per level of priority (`priority_step` in src/model/task.rs): no task is overtaken by one
-- that was accepted more than `max_wait` later. The last fifth is the tolerance between roles (`place_tolerance`).
-- Tasks of one call keep their order: accepting one takes longer than a microsecond.
local function place_of(spec)
  accepted = accepted + 1
  local step = (tonumber(spec.max_wait_ms) or MAX_WAIT) * 400
  return now * 1000 + clock[2] % 1000 + accepted + (RANK[spec.priority] or RANK.normal) * step
end

-- The only function that changes the state of a task: the record, the structure that matches it, the event.
-- `score` is the due time of a delayed task and the lease's end of a running one; `code` says why an attempt ended.
-- `set` (field, value, ...) and `drop` (field, ...) are further changes to the record, which this writes along with its
-- own: one command for each instead of several.
local function move(id, from, to, role, score, agent, reason, data, code, set, drop)
  if not allows(TASK, from, to) then error('task ' .. id .. ' may not go from ' .. from .. ' to ' .. to) end
  local record = P .. 'task:' .. id
  local f = redis.call('HMGET', record, 'plan', 'writes', 'reads', 'share', 'slot_at', 'priority', 'max_parallel', 'short', 'short_at')
  set, drop = set or {}, drop or {}
  append(set, 'state', to, 'since', now)
  redis.call('ZREM', P .. 'state:' .. from, id)
  redis.call('ZADD', P .. 'state:' .. to, score or now, id)
  if from == 'ready' then
    if to == 'running' then
      append(set, 'slot_at', now)
      take_slot(role, f[4] or '-', f[6])
    end
    quit_ready(id, role, f[6], f[4])
    if f[2] or f[3] or f[7] then leave_ready(id, to, f[2], f[3], drop) end
    if f[8] then leave_short(id, f[8]) end
    if f[9] then append(drop, 'short_at') end
  elseif from == 'running' then
    redis.call('SREM', P .. 'running:' .. role, id)
    redis.call('ZREM', P .. 'waiting:' .. role, id)
    release_locks(id)
    if f[5] then give_slot(role, f[4] or '-', number(f[5])) end
    append(drop, 'slot_at', 'agent', 'incarnation', 'cancelling', 'cancel_code', 'waiting_until', 'asking_until', 'live')
    local reserves = redis.call('HGET', record, 'reserves')
    if reserves then
      append(drop, 'reserves')
      offer_short_of(release_reserved(reserves))
    end
    offer(role)
    offer_to_waiting()
  elseif from == 'blocked' then
    redis.call('DEL', P .. 'deps:' .. id)
    append(drop, 'awaits')
  elseif from == 'delayed' then
    append(drop, 'due_at')
  elseif from == 'held' then
    append(drop, 'holds')
    if to ~= 'blocked' then redis.call('DEL', P .. 'deps:' .. id) end
  elseif not OPEN[from] and OPEN[to] then
    append(drop, 'ended_at')
    local f = get(id, 'parent', 'detached')
    local p = f[1] and not f[2] and get(f[1], 'state', 'awaits') or {}
    if p[1] == 'blocked' and p[2] then redis.call('SADD', P .. 'deps:' .. f[1], id) end
    reopen(id, id)
  end
  if to == 'ready' then
    append(set, 'ready_at', now)
  elseif to == 'delayed' then
    append(set, 'due_at', score)
  elseif not OPEN[to] then
    append(set, 'ended_at', now)
  end
  if #drop > 0 then redis.call('HDEL', record, unpack(drop)) end
  redis.call('HSET', record, unpack(set))
  event('task.' .. to, id, agent, from, to, reason, data, code)
  if f[1] then count_in_plan(f[1], from, to) end
  if f[7] and from == 'running' then offer_slots(f[1]) end
  if to == 'ready' then
    join_ready(id, role)
    wake_role(role, nil, nil, from == 'blocked')
  elseif to == 'running' then
    redis.call('SADD', P .. 'running:' .. role, id)
  elseif to == 'delayed' then
    wake('supervisor')
    redis.call('PUBLISH', P .. 'news:' .. id, to)
  elseif to == 'held' then
    redis.call('PUBLISH', P .. 'news:' .. id, to)
  elseif not OPEN[to] then
    close_questions(id, 'the task has ended as ' .. to)
    fail_unread(id, 'the task has ended as ' .. to)
    -- The end of a dead letter was propagated when it failed, and is not propagated again when it is removed.
    if OPEN[from] then ended[#ended + 1] = {id, to} end
    if OPEN[from] and #ended == 1 then
      local next_one, next_skip = 1, 1
      while ended[next_one] or skips[next_skip] do
        if ended[next_one] then
          propagate_end(unpack(ended[next_one]))
          next_one = next_one + 1
        else
          skip_or_cancel(unpack(skips[next_skip]))
          next_skip = next_skip + 1
        end
      end
      ended, skips = {}, {}
    end
  end
  if #ended == 0 then judge_plans() end
end

-- When an attempt of a task that starts now is over by its time limit, or by the task's deadline: the supervisor ends an
-- agent that is busy for much longer, because its runner should have done so.
local function deadline_of(timeout_ms, deadline_at)
  local timeout, deadline = tonumber(timeout_ms or ''), tonumber(deadline_at or '') or math.huge
  return timeout and string.format('%.0f', math.min(now + timeout, deadline, 2 ^ 53)) or ''
end

-- Sets by when a task must have ended. `deadlines` has all open tasks that have a deadline.
local function set_deadline(id, at)
  at = string.format('%.0f', math.min(at, 2 ^ 53))
  redis.call('HSET', P .. 'task:' .. id, 'deadline_at', at)
  redis.call('ZADD', P .. 'deadlines', at, id)
end

-- The only function that changes the state of an agent. `set` is that of `move`; `master` is that field of its record
-- where the caller has read it.
local function move_agent(id, from, to, role, task, reason, data, code, set, master)
  if not allows(AGENT, from, to) then error('agent ' .. id .. ' may not go from ' .. from .. ' to ' .. to) end
  local record = P .. 'agent:' .. id
  set = set or {}
  append(set, 'state', to, 'since', now, 'reason', reason)
  redis.call('HSET', record, unpack(set))
  -- The master takes no tasks, so it does not count as an idle agent.
  if to == 'idle' then
    if master == nil then master = redis.call('HGET', record, 'master') end
    if master ~= '1' then redis.call('SADD', P .. 'idle:' .. role, id) end
  end
  if from == 'idle' then redis.call('SREM', P .. 'idle:' .. role, id) end
  if to == 'failed' or to == 'stopped' then
    redis.call('SREM', P .. 'agents', id)
    redis.call('DEL', P .. 'wake:agent:' .. id)
    -- Kept for a week for `orch why`; an agent with the same id overwrites it.
    redis.call('PEXPIRE', record, 7 * 86400000)
  end
  event('agent.' .. to, task, id, from, to, reason, data, code)
end

-- A dead letter may outlive its parent's record: counting there would leave half a record.
local function count_child(parent, by)
  if get(parent, 'state')[1] then redis.pcall('HINCRBY', P .. 'task:' .. parent, 'open_children', by) end
end

-- The record of a new task and the structures that match it: held where `escalation` says what a person has to approve,
-- else blocked while what is in `open` is, else ready. `spec` is that of task/delegate.lua, with the task's depth.
local function accept(id, spec, key, text, context, open, why, escalation)
  local state = escalation and 'held' or #open > 0 and 'blocked' or 'ready'
  local seq, place = redis.call('INCR', P .. 'seq'), string.format('%.0f', place_of(spec))
  local fields = {'state', state, 'since', now, 'text', text, 'seq', seq, 'place', place, 'depth', spec.depth,
    'created_at', spec.created_at or now, 'number', 0, 'failures', 0, 'lost', 0}
  local function also(name, value)
    if value and value ~= '' then
      fields[#fields + 1] = name
      fields[#fields + 1] = value
    end
  end
  -- The terms as they are (src/model/task.rs, Spec). Its key is that of the caller, or one of ours.
  for _, name in ipairs(spec_fields()) do
    local value = spec[name]
    if type(value) == 'table' then value = #value > 0 and cjson.encode(value) end
    if name ~= 'key' then also(name, value) end
  end
  also('key', key)
  also('parent', spec.parent)
  also('share', share_of(spec))
  also('context', context)
  if escalation then
    -- `unapproved` stays with the record until a person approves, whatever becomes of the task.
    append(fields, 'holds', 'approval', 'unapproved', '1', 'cause', CAUSE.needs_person, 'code', CODE.approval_needed,
      'reason', escalation.reason)
  end
  redis.call('HSET', P .. 'task:' .. id, unpack(fields))
  if spec.deadline_ms then set_deadline(id, spec.deadline_at or (spec.created_at or now) + spec.deadline_ms) end
  redis.call('ZADD', P .. 'tasks', seq, id)
  redis.call('ZADD', P .. 'ids', 0, id)
  redis.call('ZADD', P .. 'state:' .. state, now, id)
  if spec.plan then count_in_plan(spec.plan, nil, state) end
  if key then redis.call('SET', P .. 'key:' .. key, id) end
  if spec.parent and get(spec.parent, 'state')[1] then
    redis.call('RPUSH', P .. 'children:' .. spec.parent, id)
    count_child(spec.parent, 1)
  end
  wait_for(id, open)
  local waits = {}
  for _, first in ipairs(open) do waits[first] = true end
  for _, dependency in ipairs(spec.after) do
    if not waits[dependency] then redis.call('SADD', P .. 'dependents:' .. dependency, id) end
  end
  local trail = P .. 'trail:' .. id
  if escalation then
    redis.pcall('RPUSH', trail,
      event('task.held', id, nil, nil, state, why .. '; ' .. escalation.reason, nil, CODE.approval_needed))
    raise_question(id, {number = 1, tokens = {}, kind = 'escalation', text = escalation.question,
      rights = escalation.rights, options = '', attempt = 0, asked_at = now}, nil)
  else
    redis.pcall('RPUSH', trail, event('task.' .. state, id, nil, nil, state, why))
  end
  if state == 'ready' then
    redis.call('HSET', P .. 'task:' .. id, 'ready_at', now)
    join_ready(id, spec.role)
    wake_role(spec.role)
  end
  return state
end
