-- Part of the prelude of every transition: what it means that a task, or its result, is approved or denied.

-- The first word of a question whose answer is an approval.
local function is_approval(question)
  return question.kind == 'escalation' or question.kind == 'acceptance'
end

-- A task that waits for this decision goes on, or ends. `reason` says who has decided what. With `code`, nobody has decided,
-- and a denied result is not tried again: its task fails. Returns the task's state.
local function decide_approval(id, question, verdict, reason, code)
  local record, f = P .. 'task:' .. id, get(id, 'state', 'role', 'holds', 'parent')
  local state, role = f[1], f[2]
  redis.call('ZREM', P .. 'approval_ends', id)
  if question.kind == 'escalation' then
    if verdict == 'denied' then
      state = cancel(id, reason, code or CODE.approval_denied)
      if f[4] and OPEN[get(f[4], 'state')[1]] then
        post(f[4], {from = 'orch', task = id, tells = 'end', text = id .. ' will not run: ' .. reason})
      end
    else
      redis.call('HDEL', record, 'unapproved', 'cause', 'code', 'reason')
      state = redis.call('SCARD', P .. 'deps:' .. id) > 0 and 'blocked' or 'ready'
      move(id, 'held', state, role, nil, nil, reason)
    end
  elseif state == 'held' and f[3] == 'acceptance' then
    redis.call('HDEL', record, 'cause', 'code', 'reason')
    if verdict == 'approved' then
      state = 'succeeded'
      move(id, 'held', state, role, nil, nil, reason)
    elseif code then
      state = 'failed'
      redis.call('HSET', record, 'cause', CAUSE.deadline, 'code', code, 'reason', reason)
      move(id, 'held', state, role, nil, nil, reason, nil, code)
    else
      -- Its next attempt finds why, with the question.
      state = 'ready'
      redis.call('HDEL', record, 'result')
      hand_over(id, 'runs again: ' .. reason)
      move(id, 'held', state, role, nil, nil, reason)
    end
  end
  return state
end
