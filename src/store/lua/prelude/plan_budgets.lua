-- Part of the prelude of every transition: what a plan may use. It pays for its tasks, and for what these delegate.
--
-- A ready task whose next attempt does not fit is *short*: it leaves the ready tasks of its role and waits in `short:<plan>` (by its
-- place; its record has the plan in `short`), so that it keeps nothing else from an agent. It is offered again when there is room.
-- The record of a plan that has such tasks says whether running attempts have reserved the rest (`short`: 'reserved' or 'used') and
-- why nothing more of it starts (`short_why`).

-- How many are offered in one call: Redis serves no other client meanwhile.
local OFFERED_AT_ONCE = 100

-- The plans that pay for a task of this plan and parent: its own, then those of the tasks above it.
local function plans_of(plan, parent)
  local plans, seen = {}, {}
  for _ = 1, 100 do
    if plan and not seen[plan] then
      seen[plan] = true
      append(plans, plan)
    end
    if not parent then break end
    local f = get(parent, 'plan', 'parent')
    plan, parent = f[1], f[2]
  end
  return plans
end

-- The caps of a plan, or nil; and its name.
local function caps_of_plan(plan)
  local f = redis.call('HMGET', P .. 'plan:' .. plan, 'cap_micro_usd', 'cap_tokens', 'name')
  local caps = {tonumber(f[1] or ''), tonumber(f[2] or '')}
  return (caps[1] or caps[2]) and caps, f[3] or plan
end

-- What the next attempt of a task is expected to use under the caps of its role and of these plans; and the first plan that has no
-- room for it, why, and whether it has when running attempts have ended.
local function room_in_plans(plans, b)
  local capped, all = {}, {b.own, b.all}
  for _, plan in ipairs(plans) do
    local caps, name = caps_of_plan(plan)
    if caps then
      append(capped, {plan = plan, caps = caps, name = name})
      append(all, caps)
    end
  end
  if #capped == 0 then return b.expected end
  local expected = expected_under(b.known, unpack(all))
  for _, one in ipairs(capped) do
    local why, is_reserved = lacks(one.caps, sums(P .. 'plan:' .. one.plan, 'used_'), reserved_of('plan:' .. one.plan), expected,
      'that plan ' .. one.name .. ' may use')
    if why then return expected, one.plan, why, is_reserved end
  end
  return expected
end

-- Records why a plan has no room for its next task.
local function mark_short(plan, why, is_reserved)
  redis.call('HSET', P .. 'plan:' .. plan, 'short', is_reserved and 'reserved' or 'used', 'short_why', why)
  touched[plan] = true
end

-- A ready task leaves the ready ones of its role until its plan has room for it.
local function park_short(id, role, plan, why, is_reserved)
  quit_ready(id, role)
  redis.call('ZADD', P .. 'short:' .. plan, string.format('%.0f', place_in(id)), id)
  redis.call('SADD', P .. 'short_plans', plan)
  redis.call('HSETNX', P .. 'task:' .. id, 'short_at', now)
  redis.call('HSET', P .. 'task:' .. id, 'short', plan)
  if get(id, 'plan')[1] == plan then redis.call('HINCRBY', P .. 'plan:' .. plan, 'n:short', 1) end
  mark_short(plan, why, is_reserved)
  judge_plans()
end

-- A task that was short is not any more.
local function leave_short(id, plan)
  redis.call('ZREM', P .. 'short:' .. plan, id)
  redis.call('HDEL', P .. 'task:' .. id, 'short')
  local record = P .. 'plan:' .. plan
  if get(id, 'plan')[1] == plan and redis.call('HINCRBY', record, 'n:short', -1) <= 0 then redis.call('HDEL', record, 'n:short') end
  if redis.call('EXISTS', P .. 'short:' .. plan) == 0 then
    redis.call('SREM', P .. 'short_plans', plan)
    redis.call('HDEL', record, 'short', 'short_why')
  end
  touched[plan] = true
end

-- There may be more room in a plan: those of its short tasks that fit are ready again.
local function offer_short(plan)
  local key, left = P .. 'short:' .. plan, nil
  for _ = 1, OFFERED_AT_ONCE do
    local id = redis.call('ZRANGE', key, 0, 0)[1]
    if not id then return end
    local f = get(id, 'role', 'plan', 'parent')
    local role = f[1] or ''
    local expected, short, why, is_reserved = room_in_plans(plans_of(f[2], f[3]), budgets_of(role))
    if short == plan then return mark_short(plan, why, is_reserved) end
    -- What is offered now reserves something soon.
    local caps = caps_of_plan(plan)
    if caps and not left then
      local used, reserved = sums(P .. 'plan:' .. plan, 'used_'), reserved_of('plan:' .. plan)
      left = {caps[1] and caps[1] - used[1] - reserved[1], caps[2] and caps[2] - used[2] - reserved[2]}
    end
    for i = 1, 2 do
      if caps and left[i] and expected[i] > left[i] then
        redis.call('HSET', P .. 'plan:' .. plan, 'short', 'reserved')
        touched[plan] = true
        return
      end
      if caps and left[i] then left[i] = left[i] - expected[i] end
    end
    leave_short(id, plan)
    join_ready(id, role)
    wake_role(role)
  end
  wake('supervisor')
end

-- Offers the short tasks of these plans, separated by commas.
local function offer_short_of(plans)
  for plan in string.gmatch(plans or '', '[^,]+') do
    if redis.call('SISMEMBER', P .. 'short_plans', plan) == 1 then offer_short(plan) end
  end
end

-- A person is told once when most of a plan's budget is used.
local function warn_of_plan(plan)
  local caps, name = caps_of_plan(plan)
  local what = caps and nearly(caps, sums(P .. 'plan:' .. plan, 'used_'))
  if not what or redis.call('HSETNX', P .. 'plan:' .. plan, 'warned', '1') == 0 then return end
  what = what .. ' that plan ' .. name .. ' may use'
  event(EVENT.budget_warning, nil, nil, nil, nil, what, cjson.encode({plan = plan}))
  notice({what = 'budget', text = what .. ' (' .. plan .. ')'})
end

-- The same of the plans that pay for a task.
local function warn_of_plans(id)
  local f = get(id, 'plan', 'parent')
  for _, plan in ipairs(plans_of(f[1], f[2])) do warn_of_plan(plan) end
end
