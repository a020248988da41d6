-- The holder of a lease ends its attempt. Sent again with the same fence, it gives the same answer.
-- KEYS: 1 prefix
-- ARGV: 1 task, 2 agent, 3 incarnation, 4 fence, 5 cause, 6 reason, 7 exit code or '', 8 result (JSON or ''),
--       9 when to try again, if the program named it (ms) or '', 10 evidence (JSON or ''), 11 usage (JSON or ''),
--       12 whose account was rate limited, or '', 13 '1' if the named time is to be kept exactly, 14 code of the end,
--       15 '1' if a success with open subtasks is no end,
--       16 the totals that its usage was computed from (JSON of of_conversation), or '',
--       17 '1' if its conversation can be resumed, so that a success with unread messages is no end
-- Returns: {state of the task, '1' the first time, '0' again}
-- Refuses: stale (another lease was given meanwhile, or the attempt was ended by the supervisor)
local id, agent, fence = ARGV[1], ARGV[2], ARGV[4]
local f = get(id, 'state', 'agent', 'incarnation', 'fence')
if f[1] ~= 'running' or f[2] ~= agent or f[3] ~= ARGV[3] or f[4] ~= fence then
  for i, text in ipairs(redis.pcall('LRANGE', P .. 'attempts:' .. id, 0, -1)) do
    local attempt = decoded(text)
    if tostring(attempt.fence) == fence and attempt.agent == agent then
      if attempt.told then return {attempt.next, '0'} end
      -- The attempt was ended by the supervisor meanwhile; its usage counts all the same.
      if (ARGV[11] or '') ~= '' and attempt.ended_at then
        charge_late(id, i - 1, attempt, agent, ARGV[11], ARGV[16] or '')
      end
    end
  end
  event(EVENT.task_stale, id, agent, nil, nil, 'a late ' .. ARGV[5] .. ' with fence ' .. fence .. ' was refused', nil, REFUSAL.stale)
  return refuse(REFUSAL.stale, id)
end

local record = P .. 'agent:' .. agent
local a = redis.pcall('HMGET', record, 'state', 'incarnation', 'role', 'tasks_done', 'master')
local state = end_attempt(id, {
  cause = ARGV[5], code = ARGV[14], reason = ARGV[6], exit_code = ARGV[7], result = ARGV[8], retry_after = ARGV[9],
  told = true, evidence = ARGV[10], usage = ARGV[11], account = ARGV[12], is_exact = ARGV[13] == '1', awaits = ARGV[15] == '1',
  role = a[3], metered = ARGV[16], continues = ARGV[17] == '1'})
if a[2] == ARGV[3] then
  redis.call('HDEL', record, 'task', 'attempt', 'fence', 'deadline', unpack(WAIT))
  -- A task that is tried again is not done, and one that was lost with this agent is not either.
  local set = (OPEN[state] or ARGV[5] == CAUSE.lost) and {} or {'tasks_done', number(a[4]) + 1}
  if a[1] == 'busy' then
    move_agent(agent, 'busy', 'idle', a[3], id, id .. ' ended as ' .. state, nil, nil, set, a[5])
  elseif #set > 0 then
    redis.call('HSET', record, unpack(set))
  end
end
return {state, '1'}
