-- Cancels a plan: what of it is not made yet is dropped, and its open tasks are cancelled, some in each call. First those
-- that wait for others, so that none of them starts because of how another one ends.
-- KEYS: 1 prefix
-- ARGV: 1 plan, 2 reason
-- Returns: {its state, how many of its tasks are still to be cancelled}
-- Refuses: unknown
local plan, record = ARGV[1], P .. 'plan:' .. ARGV[1]
local f = redis.call('HMGET', record, 'state', 'made')
if not f[1] then return refuse(REFUSAL.unknown, plan) end
if f[1] ~= 'running' and f[1] ~= 'held' then return {f[1], '0'} end
redis.call('HSET', record, 'cancelling', ARGV[2], 'total', f[2] or 0)
redis.call('DEL', P .. 'staged:' .. plan)
redis.call('SREM', P .. 'growing', plan)
local waiting, others = {}, {}
for _, id in ipairs(tasks_of_plan(plan)) do
  local t = get(id, 'state', 'cancelling')
  if t[1] == 'blocked' then
    waiting[#waiting + 1] = id
  elseif OPEN[t[1] or ''] and not t[2] then
    others[#others + 1] = id
  end
end
local open = #waiting + #others
for _, id in ipairs(#waiting > 0 and waiting or others) do
  if open == #waiting + #others - 200 then break end
  cancel(id, ARGV[2], CODE.cancelled)
  open = open - 1
end
touched[plan] = true
judge_plans()
return {redis.call('HGET', record, 'state'), string.format('%d', open)}
