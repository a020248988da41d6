-- Cancels tasks, and with each its open subtasks. A dead letter is removed: it becomes cancelled, and is forgotten in
-- time like any other; what ended with it, and what a person has retried since, stays as it is.
-- KEYS: 1 prefix
-- ARGV: 1 reason, 2... ids
-- Returns: for each id its state afterwards; 'running' means that its agent was asked to end the
--          attempt, '' that there is no such task
local function remove(id, reason)
  local f = get(id, 'role', 'reason', 'key')
  if f[2] then reason = reason .. '; it had failed: ' .. f[2] end
  redis.call('HSET', P .. 'task:' .. id, 'cause', CAUSE.cancelled, 'code', CODE.cancelled, 'reason', reason)
  -- The same key asks for new work from now on.
  if f[3] and redis.call('GET', P .. 'key:' .. f[3]) == id then redis.call('DEL', P .. 'key:' .. f[3]) end
  move(id, 'failed', 'cancelled', f[1], nil, nil, reason, nil, CODE.cancelled)
  return 'cancelled'
end

local states = {}
for i = 2, #ARGV do
  local id = ARGV[i]
  local is_dead_letter = get(id, 'state')[1] == 'failed'
  states[#states + 1] = (is_dead_letter and remove or cancel)(id, ARGV[1], CODE.cancelled) or ''
end
return states
