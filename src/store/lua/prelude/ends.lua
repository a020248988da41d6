-- Part of the prelude of every transition: how an attempt ends, and what the end of a task means for those around it.

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
  local which = id
  if #dependents > 0 then
    add_open_work(id, left, {})
    which = with_key(id)
  end
  for _, dependent in ipairs(dependents) do
    local f = get(dependent, 'state', 'role', 'unapproved', 'after', 'edges', 'awaits', 'parent')
    local edge = edge_from(id, f[4], f[5])
    -- It comes after a task that had left this one open, and waits until this one has ended, however.
    if not edge then redis.call('SREM', P .. 'dependents:' .. id, dependent) end
    if f[1] == 'blocked' and not f[6] or f[1] == 'held' and f[3] then
      local outcome, deps = edge and edge_outcome(to, edge) or 'met', P .. 'deps:' .. dependent
      -- A subtask ends with its parent.
      if to ~= 'succeeded' and f[7] == id then outcome = 'cancel' end
      -- Looked at only where it moves, because most tasks of a plan wait for several others.
      if outcome ~= 'met' and not is_sound(dependent) then outcome = 'damaged' end
      if outcome == 'cancel' then
        cancel(dependent, 'it waited for ' .. which .. ', which ended as ' .. to, CODE.dependency_ended)
      elseif outcome == 'skip' then
        skips[#skips + 1] = {dependent, which, to}
      elseif outcome == 'met' and redis.call('SREM', deps, id) == 1 then
        -- From within a task, only its own end is waited for.
        if #left > 0 and not with_ancestors(dependent)[id] then wait_for(dependent, not_behind(dependent, left)) end
        if f[1] == 'blocked' and redis.call('SCARD', deps) == 0 then
          if is_sound(dependent) then
            move(dependent, 'blocked', 'ready', f[2], nil, nil, 'the last task it waited for, ' .. which .. ', has ' .. (to == 'succeeded' and 'succeeded' or 'ended as ' .. to))
          else
            redis.call('SADD', deps, id)
          end
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

-- The same where `which`, which ended as `to`, decided so: unless what has ended meanwhile cancels it.
skip_or_cancel = function(id, which, to)
  local f = get(id, 'state', 'after', 'edges')
  if is_cancelled_by_another(f[2], f[3]) then
    cancel(id, 'it waited for ' .. which .. ', which ended as ' .. to, CODE.dependency_ended)
  elseif OPEN[f[1]] then
    skip(id, 'it is not needed, because ' .. which .. ' ended as ' .. to)
  end
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
    'deadline_at', 'asks', 'reserves', 'approval', 'drafts_plan')
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
  -- Where orch has chosen the role, a task that failed by its fault goes on to the next tier.
  local tier, tiers = nil, nil
  if to == 'failed' and OWN_FAULT[cause] then tier, tiers = next_tier(id) end
  if tier then to, why = 'delayed', why .. '; role ' .. tier .. ' goes on with it' end
  if cause == CAUSE.success then end_trial(role, tonumber(last_attempt(id).started_at) or now) end
  local used, says_more = charge_end(id, role, f[2] or '', cause, code, usage, e.metered or '')
  local ran = math.max(0, now - (tonumber(last_attempt(id).started_at) or now))
  if used then
    -- One that was cut off before its program said what it cost says nothing about the next one.
    if says_more and LEARNS_FROM[cause] and (cause == CAUSE.success or number(used.micro_usd) > 0) then
      learn(role, {number(used.micro_usd), number(used.input_tokens) + number(used.output_tokens)}, ran)
    end
    warn_of_day(role)
    warn_of_task(id, role)
    warn_of_plans(id)
  elseif f[13] and cause == CAUSE.success then
    -- Its program reports nothing: nothing is to be reserved for the next one.
    learn(role, {0, 0}, ran)
  end
  -- What it cost where that is known.
  record_try(role, cause, used and number(used.micro_usd) - number(used.estimated_micro_usd) or 0)
  -- A program that ends, or is ended, because its task has used what it may is no failure of the task.
  local AT_CAP = {[CODE.over_budget] = true, [CODE.bound_reached] = true}
  local at_cap = AT_CAP[code] and cause ~= CAUSE.cancelled and not asks
  local over = (to == 'delayed' or to == 'blocked' or at_cap) and over_its_limit(id, role)
  if over then to, why = 'held', over .. '; the last attempt: ' .. reason end
  if over and at_cap then tier, tiers = nil, nil end
  if over and at_cap and cause == CAUSE.permanent then failures = failures - 1 end
  -- It may use more by now.
  if not over and at_cap and code == CODE.over_budget and to == 'held' then to, e.retry_after = 'delayed', 0 end
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
  if has_mail or tier and to == 'delayed' then
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
  if used then attempt.usage = cjson.encode(used) end
  if attempt.number then redis.call('LSET', P .. 'attempts:' .. id, -1, cjson.encode(attempt)) end
  local set, drop = {'failures', failures, 'lost', lost}, {}
  if tier and to ~= 'failed' then
    append(set, 'role', tier, 'failures', 0, 'lost', 0)
    if tiers then append(set, 'tiers', tiers) else append(drop, 'tiers') end
  end
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
      local text = 'Is the result of this task accepted? ' .. (answer and 'It is:' .. quoted(tostring(answer), 2000) or 'It has none.')
      if f[15] then text = 'Is this plan to be submitted?\n' .. string.sub(tostring(answer or ''), 1, 16000) end
      raise_question(id, {number = redis.call('LLEN', P .. 'questions:' .. id) + 1, tokens = {}, kind = 'acceptance', text = text,
        options = '', attempt = attempt.number, asked_at = now}, nil)
    -- A question was already notified when it was asked.
    elseif not asks then
      notice({what = 'held', task = id, text = why})
      local resolved = over and 'a person allows it more: ' .. ask_for_more(id, budgets_of(role).task)
        or 'a person resolves that, and then: orch retry ' .. id
      hand_over(id, 'is held: ' .. short(why, 500) .. ' (' .. resolved .. ')')
    end
  elseif limited == 1 and due then
    local minutes = math.ceil((due - now) / 60000)
    hand_over(id, 'waits for a limit of its service, which ends in ' .. minutes .. ' min: ' .. short(why, 500))
  end
  move(id, 'running', to, role, due, f[2], why, cjson.encode({cause = cause, attempt = attempt.number}), why_code,
    set, drop)
  return to
end
