-- A person sets what all attempts of a task may use together. A task that is held because it had used what it may goes on, if
-- something is left then.
-- KEYS: 1 prefix
-- ARGV: 1 id, 2 millionths of a dollar: a number, '+' and a number (more than now), 'none' (as its role) or '' (as it is), 3 the
--       same in tokens, 4 reason
-- Returns: {state before, state afterwards}
-- Refuses: unknown, damaged (its record does not read), task_ended (it has ended; the detail is the task and its state),
--          no_budget (more is to be allowed, and nothing of its own limits it), over_budget (it has used what it would be allowed; the detail is the task and how much is missing)
local id = ARGV[1]
local f = get(id, 'state', 'role', 'holds', 'max_cost_usd', 'max_tokens')
local state, role = f[1], f[2]
if not state then return refuse(REFUSAL.unknown, id) end
if not is_sound(id) then return refuse(REFUSAL.damaged, id) end
if not OPEN[state] then return refuse(REFUSAL.task_ended, id .. ' ' .. state) end
local caps = caps_of_task(f[4], f[5], budgets_of(role).task)
local to = {f[4], f[5]}
for i = 1, 2 do
  local text = ARGV[i + 1]
  local sign, amount = string.match(text, '^(%+?)(%d+)$')
  if amount then
    if sign == '+' and not caps[i] and f[3] ~= 'limit' then return refuse(REFUSAL.no_budget, id) end
    local cap = tonumber(amount) + (sign == '+' and (caps[i] or used_of_task(id)[i]) or 0)
    to[i] = i == 1 and string.format('%.6f', cap / 1e6) or string.format('%.0f', cap)
  elseif text == 'none' then
    to[i] = false
  end
end
local left = left_of(id, caps_of_task(to[1], to[2], budgets_of(role).task))
for i = 1, 2 do
  if left[i] and left[i] <= 0 and ARGV[i + 1] ~= '' then
    -- In whole cents, so that what is printed is enough.
    local missing = i == 1 and (math.floor(-left[1] / 1e4) + 1) * 1e4 or 1 - left[2]
    return refuse(REFUSAL.over_budget, id .. ' ' .. in_words(i, missing))
  end
end
local goes_on = state == 'held' and f[3] == 'limit' and (left[1] or 1) > 0 and (left[2] or 1) > 0
for i, field in ipairs({'max_cost_usd', 'max_tokens'}) do
  if to[i] then redis.call('HSET', P .. 'task:' .. id, field, to[i]) else redis.call('HDEL', P .. 'task:' .. id, field) end
end
redis.call('HDEL', P .. 'task:' .. id, 'warned')
event(EVENT.budget_changed, id, nil, nil, nil, ARGV[4])
if not goes_on then return {state, state} end
redis.call('HDEL', P .. 'task:' .. id, 'cause', 'code', 'reason')
move(id, 'held', 'ready', role, nil, nil, ARGV[4])
return {'held', 'ready'}
