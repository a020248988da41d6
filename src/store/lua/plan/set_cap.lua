-- A person sets what a plan may use. Its tasks that waited for that start, as far as there is room.
-- KEYS: 1 prefix
-- ARGV: 1 plan, 2 millionths of a dollar: a number, '+' and a number (more than now), 'none' (any) or '' (as it is), 3 the same in
--       tokens, 4 reason
-- Returns: {state before, state afterwards}
-- Refuses: unknown, no_budget (more is to be allowed, and nothing limits it)
local plan, record = ARGV[1], P .. 'plan:' .. ARGV[1]
local state = redis.call('HGET', record, 'state')
if not state then return refuse(REFUSAL.unknown, plan) end
local caps, to = caps_of_plan(plan) or {}, {}
for i = 1, 2 do
  local sign, amount = string.match(ARGV[i + 1], '^(%+?)(%d+)$')
  if sign == '+' and not caps[i] then return refuse(REFUSAL.no_budget, plan) end
  to[i] = amount and tonumber(amount) + (sign == '+' and caps[i] or 0)
end
for i, field in ipairs({'cap_micro_usd', 'cap_tokens'}) do
  if to[i] then redis.call('HSET', record, field, string.format('%.0f', to[i])) end
  if ARGV[i + 1] == 'none' then redis.call('HDEL', record, field) end
end
redis.call('HDEL', record, 'warned')
event(EVENT.budget_changed, nil, nil, nil, nil, ARGV[4], cjson.encode({plan = plan}))
offer_short_of(plan)
touched[plan] = true
judge_plans()
return {state, redis.call('HGET', record, 'state')}
