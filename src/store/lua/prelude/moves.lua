-- Part of the prelude of every transition: the moves of tasks and agents. Each kind of move is defined once.

local cancel, skip, propagate_end

-- How often a task is resumed after a success, with the results of its subtasks or with messages: a program that delegates
-- again each time must come to an end.
local RESUMED = 100

-- Ends that are propagated one after another and not recursively: a chain of dependents may be longer than Lua's stack
-- is deep, and Redis keeps what a script has written before its stack overflows.
local ended = {}

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
  local f = redis.call('HMGET', record, 'plan', 'writes', 'reads')
  set, drop = set or {}, drop or {}
  append(set, 'state', to, 'since', now)
  redis.call('ZREM', P .. 'state:' .. from, id)
  redis.call('ZADD', P .. 'state:' .. to, score or now, id)
  if from == 'ready' then
    redis.call('ZREM', P .. 'ready:' .. role, id)
    if f[2] or f[3] then leave_ready(id, to, f[2], f[3], drop) end
  elseif from == 'running' then
    redis.call('SREM', P .. 'running:' .. role, id)
    redis.call('ZREM', P .. 'waiting:' .. role, id)
    release_locks(id)
    append(drop, 'agent', 'incarnation', 'cancelling', 'cancel_code', 'waiting_until', 'asking_until')
    local reserves = redis.call('HGET', record, 'reserves')
    if reserves then
      append(drop, 'reserves')
      release_reserved(reserves)
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
  elseif not OPEN[from] then
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
  if to == 'ready' then
    redis.call('ZADD', P .. 'ready:' .. role, string.format('%.0f', place_in(id)), id)
    wake_role(role)
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
      local next_one = 1
      while ended[next_one] do
        propagate_end(unpack(ended[next_one]))
        next_one = next_one + 1
      end
      ended = {}
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
  for _, dependency in ipairs(spec.after) do redis.call('SADD', P .. 'dependents:' .. dependency, id) end
  wait_for(id, open)
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
    redis.call('ZADD', P .. 'ready:' .. spec.role, place, id)
    wake_role(spec.role)
  end
  return state
end

-- A subtask has ended: its parent goes on if it waits without a program, and this was the last one.
local function resume(parent, id, to)
  local p = get(parent, 'state', 'awaits', 'role')
  if p[1] ~= 'blocked' or not p[2] or not is_sound(parent) then return end
  if redis.call('SREM', P .. 'deps:' .. parent, id) == 0 or redis.call('SCARD', P .. 'deps:' .. parent) > 0 then return end
  move(parent, 'blocked', 'ready', p[3], nil, nil, 'the last subtask it waited for, ' .. id .. ', has ended as ' .. to)
end

-- Propagates the end of a task: notifies waiting clients, releases or cancels its dependents, and cancels its subtasks
-- unless it has succeeded.
propagate_end = function(id, to)
  redis.call('PUBLISH', P .. 'ended:' .. id, to)
  local f = get(id, 'parent', 'notify', 'reason', 'result', 'deadline_at')
  if f[5] then redis.call('ZREM', P .. 'deadlines', id) end
  local parent = f[1]
  if parent then
    count_child(parent, -1)
    resume(parent, id, to)
  end
  if f[2] then
    local said = to == 'succeeded' and decoded(f[4] or '').text or f[3] or ''
    local what = id .. ' (' .. short(get(id, 'text')[1] or '', 60) .. ') ' .. to
    post(f[2], {from = 'orch', task = id, tells = 'end', text = what .. ': ' .. short(tostring(said), 200)})
  end
  local dependents = redis.pcall('SMEMBERS', P .. 'dependents:' .. id)
  local left = {}
  if #dependents > 0 then add_open_work(id, left, {}) end
  for _, dependent in ipairs(dependents) do
    local f = get(dependent, 'state', 'role', 'unapproved', 'after', 'edges', 'awaits', 'parent')
    local edge = edge_from(id, f[4], f[5])
    -- It comes after a task that had left this one open, and waits until this one has ended, however.
    if not edge then redis.call('SREM', P .. 'dependents:' .. id, dependent) end
    if (f[1] == 'blocked' and not f[6] or f[1] == 'held' and f[3]) and is_sound(dependent) then
      local outcome = edge and edge_outcome(to, edge) or 'met'
      -- A subtask ends with its parent.
      if to ~= 'succeeded' and f[7] == id then outcome = 'cancel' end
      if outcome == 'cancel' or outcome == 'skip' and is_cancelled_by_another(f[4], f[5]) then
        cancel(dependent, 'it waited for ' .. id .. ', which ended as ' .. to, CODE.dependency_ended)
      elseif outcome == 'skip' then
        skip(dependent, 'it is not needed, because ' .. id .. ' ended as ' .. to)
      elseif redis.call('SREM', P .. 'deps:' .. dependent, id) == 1 then
        -- From within a task, only its own end is waited for.
        if #left > 0 and not with_ancestors(dependent)[id] then wait_for(dependent, not_behind(dependent, left)) end
        if f[1] == 'blocked' and redis.call('SCARD', P .. 'deps:' .. dependent) == 0 then
          move(dependent, 'blocked', 'ready', f[2], nil, nil, 'the last task it waited for, ' .. id .. ', has ' .. (to == 'succeeded' and 'succeeded' or 'ended as ' .. to))
        end
      end
    end
  end
  if to ~= 'succeeded' then
    for _, child in ipairs(redis.pcall('LRANGE', P .. 'children:' .. id, 0, -1)) do
      cancel(child, 'its parent ' .. id .. ' ended as ' .. to, CODE.parent_ended)
    end
  end
end

-- Skips a task that waits: how a task before it has ended decided that it is not needed.
skip = function(id, reason)
  local f = get(id, 'state', 'role')
  redis.call('HDEL', P .. 'task:' .. id, 'cause')
  redis.call('HSET', P .. 'task:' .. id, 'code', CODE.not_needed, 'reason', reason)
  move(id, f[1], 'skipped', f[2], nil, nil, reason, nil, CODE.not_needed)
end

-- Cancels an open task: immediately, or by asking the agent that runs it to end the attempt.
-- Returns its state afterwards; an ended task stays as it is.
cancel = function(id, reason, code)
  local f = get(id, 'state', 'role', 'agent', 'cancelling')
  local state = f[1]
  if not state or not OPEN[state] or not f[2] then return state end
  if state == 'running' then
    if not f[4] then
      redis.call('HSET', P .. 'task:' .. id, 'cancelling', reason, 'cancel_code', code)
      event(EVENT.task_cancelling, id, f[3], state, state, reason, nil, code)
      if f[3] then wake('agent:' .. f[3]) end
    end
    return state
  end
  redis.call('HSET', P .. 'task:' .. id, 'cause', CAUSE.cancelled, 'code', code, 'reason', reason)
  move(id, state, 'cancelled', f[2], nil, nil, reason, nil, code)
  return 'cancelled'
end

-- Ends the running attempt of a task and decides what comes next: the table of model/cause.rs.
-- `e` holds: cause; code, finer than the cause, which decides nothing; reason; exit_code and result (JSON), where there
-- are any; retry_after (ms) and is_exact, as for retry_delay; told, set if the holder itself reported, so that a repeated
-- report gets the same answer; awaits, set if a success with open subtasks is no end; continues, set if its conversation can
-- be resumed, so that a success with unread messages is no end; evidence (JSON), what was known
-- when its agent ended with it; usage (JSON), what it used; metered (JSON), as for of_conversation; account, whose rate
-- limit ended it; role, that of its agent's record, where the caller has read it.
local function end_attempt(id, e)
  local cause, code, reason, usage, account = e.cause, e.code, e.reason, e.usage or '', e.account or ''
  local f = get(id, 'role', 'agent', 'failures', 'retries', 'lost', 'lost_max', 'cancelling', 'limited', 'cancel_code', 'resumed',
    'deadline_at', 'asks', 'reserves', 'approval')
  if f[7] and cause ~= CAUSE.success then
    cause, code, reason = CAUSE.cancelled, f[9] or CODE.cancelled, f[7]
  end
  -- An attempt that ends while its question is open waits for the answer, and no failure is counted.
  local AWAITS = {[CAUSE.success] = true, [CAUSE.transient] = true, [CAUSE.timeout] = true, [CAUSE.needs_person] = true}
  local asks = not f[7] and AWAITS[cause] and number(f[12]) > 0 and open_question(id)
  if asks then
    cause, code, reason = CAUSE.needs_person, CODE.question_open, 'it asks: ' .. asks
  end
  -- A record that was damaged while the task ran must not prevent its end from being recorded.
  local of_agent = e.role or f[2] and redis.pcall('HGET', P .. 'agent:' .. f[2], 'role')
  local role = type(of_agent) == 'string' and of_agent or f[1] or ''
  local failures, lost = number(f[3]), number(f[5])
  local limited = cause == CAUSE.rate_limited and number(f[8]) + 1 or 0
  if cause == CAUSE.transient or cause == CAUSE.timeout or cause == CAUSE.permanent then failures = failures + 1 end
  -- An attempt that ends because a person stops everything immediately does not count as lost.
  if cause == CAUSE.lost and redis.call('HGET', P .. 'requests', 'stop') ~= 'now' then lost = lost + 1 end
  local to, why = 'delayed', reason
  local waits_for = {}
  if cause == CAUSE.success then
    to = 'succeeded'
    if e.awaits and not f[7] and number(f[10]) < RESUMED then waits_for = awaited(id) end
    if #waits_for > 0 then
      to, why = 'blocked', 'its program has ended; it waits for its subtasks ' .. table.concat(waits_for, ', ', 1, math.min(#waits_for, 5))
      if #waits_for > 5 then why = why .. ' and ' .. (#waits_for - 5) .. ' more' end
    end
  elseif cause == CAUSE.permanent or cause == CAUSE.deadline then
    to = 'failed'
  elseif cause == CAUSE.needs_person then
    to = 'held'
  elseif cause == CAUSE.cancelled then
    to = 'cancelled'
  elseif (cause == CAUSE.transient or cause == CAUSE.timeout) and failures > number(f[4]) then
    to = 'failed'
    if failures > 1 then why = reason .. '; failed ' .. failures .. ' times' end
  elseif cause == CAUSE.lost and lost > number(f[6]) then
    to = 'failed'
    if lost > 1 then why = reason .. '; lost ' .. lost .. ' times' end
  end
  if usage ~= '' then
    local used = decoded(usage)
    if (e.metered or '') ~= '' then
      used = of_conversation(id, used, decoded(e.metered), false)
      usage = cjson.encode(used)
    end
    if spend(id, role, f[2] or '', used) then
      if LEARNS_FROM[cause] then
        learn(role, {number(used.micro_usd), number(used.input_tokens) + number(used.output_tokens)})
      end
      warn_of_day(role)
      warn_of_task(id, role)
    end
  elseif f[13] and cause == CAUSE.success then
    -- Its program reports nothing: nothing is to be reserved for the next one.
    learn(role, {0, 0})
  end
  local over = (to == 'delayed' or to == 'blocked') and over_its_limit(id, role)
  if over then to, why = 'held', over .. '; the last attempt: ' .. reason end
  local why_code, why_cause = over and CODE.over_budget or code, cause
  -- There is no time for another attempt, and none to wait for a person or for subtasks.
  if (to == 'delayed' or to == 'held' or to == 'blocked') and f[11] and number(f[11]) <= now then
    to, asks, over, waits_for = 'failed', nil, nil, {}
    why, why_cause, why_code = DEADLINE_PASSED .. '; the last attempt: ' .. reason, CAUSE.deadline, CODE.deadline_passed
  end
  -- Messages that its program could not read while it worked: it continues with them, as far as its limits allow.
  local has_mail = false
  if to == 'succeeded' and e.continues and not f[7] and number(f[10]) < RESUMED and not (f[11] and number(f[11]) <= now) then
    local waiting = unread(id)
    has_mail = waiting > 0 and not over_its_limit(id, role)
    if has_mail then
      to = 'delayed'
      why = 'its program has ended before it could read ' .. (waiting == 1 and 'a message' or waiting .. ' messages') .. ', and continues with ' .. (waiting == 1 and 'it' or 'them')
    end
  end
  -- A person accepts its result before it counts.
  local is_accepted_first = to == 'succeeded' and not f[7] and f[14] == 'after'
  if is_accepted_first then
    to, why = 'held', 'its program has succeeded; a person accepts the result before it counts'
    why_cause, why_code = CAUSE.needs_person, CODE.approval_needed
  end
  local due, limit = nil, nil
  if cause == CAUSE.rate_limited and account ~= '' then
    limit = P .. 'rate:' .. account
    limited = math.max(limited, count_limit(limit, tonumber(last_attempt(id).started_at) or now))
  end
  if has_mail then
    due = now
  elseif to == 'delayed' or cause == CAUSE.rate_limited then
    local counts = {failures = failures, lost = lost, limited = limited}
    due = now + retry_delay(id, cause, counts, tonumber(e.retry_after or ''), e.is_exact)
  end
  if limit then
    local till = number(redis.call('HGET', limit, 'until'))
    if till > due and till <= now + RATE_LIMIT_LONGEST then
      -- Another task has met the same limit, and its end is known already.
      due = till
    else
      redis.call('HSET', limit, 'until', due, 'reason', reason)
      -- Kept for a while after its end: a limit that is met again then is the same one.
      redis.call('PEXPIRE', limit, math.floor(2 * (due - now)) + LIMIT_REMEMBERED)
      event(EVENT.role_rate_limited, id, f[2], nil, nil, reason, cjson.encode({account = account, until_ms = due}), code)
      wake('supervisor')
    end
  end
  if to ~= 'delayed' then due = nil end

  local attempt = last_attempt(id)
  attempt.ended_at, attempt.cause, attempt.code, attempt.reason, attempt.next = now, cause, code, reason, to
  if (e.exit_code or '') ~= '' then attempt.exit_code = tonumber(e.exit_code) end
  attempt.next_retry_at, attempt.told = due, e.told
  if (e.evidence or '') ~= '' then attempt.evidence = e.evidence end
  if usage ~= '' then attempt.usage = usage end
  if attempt.number then redis.call('LSET', P .. 'attempts:' .. id, -1, cjson.encode(attempt)) end
  local set, drop = {'failures', failures, 'lost', lost}, {}
  if limited > 0 then append(set, 'limited', limited) else append(drop, 'limited') end
  -- One login is that of all tasks of the role. A success shows that there is one.
  if to == 'held' and NEEDS_LOGIN[code] then
    redis.call('HSET', P .. 'budgets', 'login:' .. role, id .. ' is held for it: ' .. reason)
    wake('supervisor')
  elseif to == 'succeeded' or has_mail or is_accepted_first then
    redis.call('HDEL', P .. 'budgets', 'login:' .. role)
  end
  -- A success needs no explanation; its attempts have theirs.
  if to == 'succeeded' then
    append(drop, 'cause', 'code', 'reason')
  elseif has_mail then
    append(set, 'reason', why, 'resumed', number(f[10]) + 1)
    append(drop, 'cause', 'code', 'awaited')
  elseif to == 'blocked' then
    append(set, 'awaits', '1', 'reason', why)
    append(drop, 'cause', 'code')
    for _, child in ipairs(waits_for) do redis.call('SADD', P .. 'deps:' .. id, child) end
  else
    append(set, 'cause', why_cause, 'code', why_code, 'reason', why)
  end
  if #waits_for > 0 then append(set, 'awaited', cjson.encode(waits_for), 'resumed', number(f[10]) + 1) end
  if (e.result or '') ~= '' then
    append(set, 'result', e.result)
  elseif cause == CAUSE.success then
    -- The result of an earlier attempt is not the result of this one.
    append(drop, 'result')
  end
  if to == 'held' then
    append(set, 'holds', asks and 'question' or over and 'limit' or is_accepted_first and 'acceptance' or 'person')
    if is_accepted_first then
      local answer = decoded(e.result or '').text
      local text = 'Is the result of this task accepted? ' .. (answer and 'It is: ' .. short(tostring(answer), 2000) or 'It has none.')
      raise_question(id, {number = redis.call('LLEN', P .. 'questions:' .. id) + 1, tokens = {}, kind = 'acceptance', text = text,
        options = '', attempt = attempt.number, asked_at = now}, nil)
    -- A question was already notified when it was asked.
    elseif not asks then
      notice({what = 'held', task = id, text = why})
      hand_over(id, 'is held: ' .. short(why, 500) .. ' (a person resolves that, and then: orch retry ' .. id .. ')')
    end
  elseif limited == 1 and due then
    local minutes = math.ceil((due - now) / 60000)
    hand_over(id, 'waits for a limit of its service, which ends in ' .. minutes .. ' min: ' .. short(why, 500))
  end
  move(id, 'running', to, role, due, f[2], why, cjson.encode({cause = cause, attempt = attempt.number}), why_code,
    set, drop)
  return to
end
