-- Retries a dead letter, a cancelled or a held task at a person's request, with its counts at zero.
-- KEYS: 1 prefix
-- ARGV: 1 id, 2 reason
-- Returns: {state before, state afterwards}; the same twice where there was nothing to do
-- Refuses: unknown, damaged (its record does not read), dependency_ended (what it waits for has failed or was cancelled: retry that first),
--          not_approved (a retry is no approval; the detail is the task and its state)
local id = ARGV[1]
local f = get(id, 'state', 'role', 'after', 'parent', 'unapproved', 'deadline_ms', 'code')
local from = f[1]
if not from then return refuse(REFUSAL.unknown, id) end
if not is_sound(id) then return refuse(REFUSAL.damaged, id) end
if from == 'delayed' then
  move(id, from, 'ready', f[2], nil, nil, ARGV[2])
  return {from, 'ready'}
end
if from ~= 'failed' and from ~= 'cancelled' and from ~= 'held' then return {from, from} end
if f[5] then return refuse(REFUSAL.not_approved, id .. ' ' .. from) end

local reads, after = pcall(cjson.decode, f[3] and f[3] ~= '' and f[3] or '[]')
if not reads or type(after) ~= 'table' then return refuse(REFUSAL.damaged, id) end
for _, dependency in ipairs(after) do
  if type(dependency) ~= 'string' then return refuse(REFUSAL.damaged, id) end
end

local open = {}
for _, dependency in ipairs(after) do
  local state = get(dependency, 'state')[1]
  if state == 'failed' or state == 'cancelled' then return refuse(REFUSAL.dependency_ended, dependency .. ' ' .. state) end
  if state and state ~= 'succeeded' then open[#open + 1] = dependency end
end
local to = #open > 0 and 'blocked' or 'ready'
for _, dependency in ipairs(open) do redis.call('SADD', P .. 'deps:' .. id, dependency) end
redis.call('HSET', P .. 'task:' .. id, 'failures', 0, 'lost', 0)
-- A retry allows the same budget again.
local used = get(id, 'used_micro_usd', 'used_input_tokens', 'used_output_tokens')
if used[1] or used[2] or used[3] then
  redis.call('HSET', P .. 'task:' .. id, 'allowed_usd', number(used[1]), 'allowed_tokens',
    string.format('%.0f', number(used[2]) + number(used[3])))
end
redis.call('HDEL', P .. 'task:' .. id, 'cause', 'code', 'reason', 'result')
if tonumber(f[6] or '') then set_deadline(id, now + f[6]) end
if from ~= 'held' and f[4] then count_child(f[4], 1) end
if from == 'held' and NEEDS_LOGIN[f[7]] then accept_login(f[2]) end
move(id, from, to, f[2], nil, nil, ARGV[2])
return {from, to}
