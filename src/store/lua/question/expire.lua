-- Decides about the tasks whose time limit for an approval has passed, by the default of each.
-- KEYS: 1 prefix
-- ARGV: 1 how many at most
-- Returns: how many
local ids = redis.call('ZRANGEBYSCORE', P .. 'approval_ends', '-inf', now, 'LIMIT', 0, ARGV[1])
for _, id in ipairs(ids) do
  redis.call('ZREM', P .. 'approval_ends', id)
  local f, list = get(id, 'state', 'approval_default', 'asks', 'drafts_plan'), P .. 'questions:' .. id
  for i, text in ipairs(redis.pcall('LRANGE', list, 0, -1)) do
    local question = decoded(text)
    if question.number and is_approval(question) and not question.answer and not question.closed
      and f[1] == 'held' and is_sound(id) then
      -- Only a person submits a plan that a program has drafted.
      local verdict = f[2] == 'approved' and not f[4] and 'approved' or 'denied'
      local reason = 'nobody has decided within its approval_timeout: ' .. verdict
      question.answer, question.verdict, question.answered_at, question.answered_by = verdict, verdict, now, 'approval_timeout'
      redis.call('LSET', list, i - 1, cjson.encode(question))
      event(EVENT.task_answered, id, nil, nil, nil, reason, cjson.encode({question = question.number}))
      local open = number(f[3]) - 1
      if open > 0 then
        redis.call('HSET', P .. 'task:' .. id, 'asks', open)
      else
        redis.call('HDEL', P .. 'task:' .. id, 'asks')
        redis.call('ZREM', P .. 'asking', id)
      end
      redis.call('PUBLISH', P .. 'news:' .. id, 'answered')
      decide_approval(id, question, verdict, reason, CODE.approval_expired)
      break
    end
  end
end
return #ids
