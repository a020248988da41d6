-- Part of the prelude of every transition: plans. `plan:<id>` counts the plan's tasks by state; its own state follows from
-- these counts.

-- The plans one of whose tasks has moved in this call, and whose state is to be looked at when the ends are propagated.
local touched = {}

-- A task of a plan has come into a state, from another one or from none.
local function count_in_plan(plan, from, to)
  local record = P .. 'plan:' .. plan
  -- Redis may have lost it.
  if not touched[plan] and redis.call('EXISTS', record) == 0 then return end
  if from then redis.call('HINCRBY', record, 'n:' .. from, -1) end
  if to then redis.call('HINCRBY', record, 'n:' .. to, 1) end
  if from and not OPEN[from] and to and OPEN[to] then redis.call('HDEL', record, 'cancelling') end
  touched[plan] = true
end

-- The ids of a plan's tasks, by their keys.
local function tasks_of_plan(plan)
  local flat, tasks = redis.call('HGETALL', P .. 'plan_tasks:' .. plan), {}
  for i = 2, #flat, 2 do tasks[#tasks + 1] = flat[i] end
  return tasks
end

-- Whether one of the plan's blocked tasks waits for work that is no task of the plan: subtasks.
local function waits_for_others(plan)
  for _, id in ipairs(tasks_of_plan(plan)) do
    if get(id, 'state')[1] == 'blocked' then
      for _, first in ipairs(redis.call('SMEMBERS', P .. 'deps:' .. id)) do
        if get(first, 'plan')[1] ~= plan then return true end
      end
    end
  end
  return false
end

-- Whether a task of the plan failed or was cancelled and nothing made up for it: no task after it that was to run in this
-- case has succeeded.
local function has_failed_task(plan)
  for _, id in ipairs(tasks_of_plan(plan)) do
    local state = get(id, 'state')[1]
    if state == 'failed' or state == 'cancelled' then
      local is_made_up_for = false
      for _, dependent in ipairs(redis.call('SMEMBERS', P .. 'dependents:' .. id)) do
        local f = get(dependent, 'state', 'after', 'edges', 'plan')
        local edge = f[1] == 'succeeded' and f[4] == plan and edge_from(id, f[2], f[3])
        if edge and (edge.when == 'failed' or edge.when ~= 'ended' and edge.on_failure == 'run') then
          is_made_up_for = true
        end
      end
      if not is_made_up_for then return true end
    end
  end
  return false
end

-- The state that a plan is in by its tasks.
local function state_of_plan(plan)
  local n = redis.call('HMGET', P .. 'plan:' .. plan, 'n:blocked', 'n:ready', 'n:delayed', 'n:held', 'n:running', 'n:failed',
    'n:cancelled', 'made', 'total', 'cancelling', 'state', 'short', 'n:short')
  local cancelling = n[10]
  -- Ready tasks for which nothing is left of its budget wait for a person.
  local short = n[12] == 'used' and number(n[13]) or 0
  for i = 1, 9 do n[i] = number(n[i]) end
  if n[8] < n[9] then return 'running' end
  if n[1] + n[2] + n[3] + n[4] + n[5] > 0 then
    local works = n[2] - short + n[3] + n[5] > 0 or n[4] + short == 0 or cancelling or waits_for_others(plan)
    return works and 'running' or 'held'
  end
  if cancelling and n[7] > 0 then return 'cancelled' end
  -- What made up for a failure may be forgotten before the failed task is.
  if n[11] == 'succeeded' then return 'succeeded' end
  return n[6] + n[7] > 0 and has_failed_task(plan) and 'failed' or 'succeeded'
end

local PLAN_IS = {running = 'is running', held = 'waits for a person: none of its tasks can go on',
  succeeded = 'has succeeded', failed = 'has failed: a task failed or was cancelled, and nothing made up for it',
  cancelled = 'was cancelled'}

-- The only function that changes the state of a plan: looks at those that were touched.
local function judge_plans()
  for plan in pairs(touched) do
    local record = P .. 'plan:' .. plan
    local f = redis.call('HMGET', record, 'state', 'name', 'notify', 'cancelling', 'short', 'short_why')
    local to = state_of_plan(plan)
    if f[1] and f[1] ~= to then
      if not allows(PLAN, f[1], to) then error('plan ' .. plan .. ' may not go from ' .. f[1] .. ' to ' .. to) end
      redis.call('HSET', record, 'state', to, 'since', now)
      if to == 'running' or to == 'held' then
        redis.call('HDEL', record, 'ended_at')
      else
        redis.call('HSET', record, 'ended_at', now)
        -- What a person does to it afterwards is no part of its cancellation.
        if to ~= 'cancelled' then redis.call('HDEL', record, 'cancelling') end
      end
      local what = 'plan ' .. (f[2] or '') .. ' ' .. PLAN_IS[to]
      if to == 'cancelled' and f[4] then what = what .. ': ' .. f[4] end
      if to == 'held' and f[5] == 'used' then what = what .. '; ' .. f[6] end
      event('plan.' .. to, nil, nil, f[1], to, what, cjson.encode({plan = plan}))
      if to == 'held' then notice({what = 'held', text = what .. ' (' .. plan .. ')'}) end
      redis.call('PUBLISH', P .. 'news:' .. plan, to)
      if f[3] and to ~= 'running' then
        post(f[3], {from = 'orch', plan = plan, tells = to ~= 'held' and 'end' or nil, text = plan .. ' (' .. short(f[2] or '', 60) .. ') ' .. what})
      end
    end
  end
  touched = {}
end
