-- Part of the prelude of every transition: what a task waits for. What an open predecessor is stands here and in `move`.

-- What the state of a predecessor means for the task after it: 'open', 'met', 'skip' or 'cancel'. `Edge::outcome` in
-- src/model/edge.rs is the same table.
local function edge_outcome(state, edge)
  if OPEN[state] then return 'open' end
  local when, on_failure = edge.when or 'succeeded', edge.on_failure or 'fail'
  if when == 'ended' then return 'met' end
  if when == 'done' then return (state == 'succeeded' or state == 'skipped') and 'met' or 'cancel' end
  if when == 'failed' then return (state == 'failed' or state == 'cancelled') and 'met' or 'skip' end
  if state == 'succeeded' or on_failure == 'run' then return 'met' end
  if state == 'skipped' or on_failure == 'skip' then return 'skip' end
  return 'cancel'
end

-- The terms of the edge from `first`, by the fields `after` and `edges` of the task after it; nil where it does not come
-- after it itself, but after a task that has left `first` open.
local function edge_from(first, after, edges)
  if not string.find(after or '', '"' .. first .. '"', 1, true) then return nil end
  if not edges or edges == '' then return {} end
  local edge = decoded(edges)[first]
  return type(edge) == 'table' and edge or {}
end

-- A task as a reason names it: with its key where it is part of a plan.
local function with_key(id)
  local key = get(id, 'plan_key')[1]
  return key and key .. ' (' .. id .. ')' or id
end

-- Whether a task waits for another one, or for one that does.
local function leads_to(id, goal)
  local asked, seen, next_one = {id}, {}, 1
  while asked[next_one] do
    for _, first in ipairs(redis.pcall('SMEMBERS', P .. 'deps:' .. asked[next_one])) do
      if first == goal then return true end
      if not seen[first] then
        seen[first] = true
        asked[#asked + 1] = first
      end
    end
    next_one = next_one + 1
  end
  return false
end

-- Whether one of the predecessors of a task has ended so that it is cancelled: that outranks another that skips it, in
-- whichever order their ends are propagated.
local function is_cancelled_by_another(after, edges)
  local reads, list = pcall(cjson.decode, after or '[]')
  edges = decoded(edges or '')
  for _, first in ipairs(reads and type(list) == 'table' and list or {}) do
    local state = get(first, 'state')[1]
    if state and edge_outcome(state, edges[first] or {}) == 'cancel' then return true end
  end
  return false
end

-- Returns the open subtasks of a task whose results it gets: not those that were delegated as detached, or that wait for
-- the task itself.
local function awaited(id)
  local open = {}
  for _, child in ipairs(redis.pcall('LRANGE', P .. 'children:' .. id, 0, -1)) do
    local f = get(child, 'state', 'detached')
    if f[1] and OPEN[f[1]] and not f[2] and not leads_to(child, id) then open[#open + 1] = child end
  end
  return open
end

-- Adds what a task that has ended has left open: its subtasks, and those of its subtasks that have ended. What waits for
-- the task waits for them, but not for one of the tasks above itself (`except`).
local function add_open_work(id, found, except)
  for _, child in ipairs(redis.pcall('LRANGE', P .. 'children:' .. id, 0, -1)) do
    local f = get(child, 'state', 'detached')
    if f[1] and not f[2] and not except[child] then
      if not OPEN[f[1]] then
        add_open_work(child, found, except)
      elseif not found[child] then
        found[child] = true
        found[#found + 1] = child
      end
    end
  end
end

-- A task and those above it.
local function with_ancestors(id)
  local ancestors = {}
  while id and id ~= '' and not ancestors[id] do
    ancestors[id] = true
    id = get(id, 'parent')[1]
  end
  return ancestors
end

-- Those of some open tasks that do not wait for `id`.
local function not_behind(id, open)
  local others = {}
  for _, one in ipairs(open) do
    if one ~= id and not leads_to(one, id) then others[#others + 1] = one end
  end
  return others
end

-- What a task that comes after these waits for, as a list. Or nil, and the predecessor whose end keeps it from starting,
-- its state, and 'skip' or 'cancel'. A predecessor that is not known any more had ended in time. `above` are the tasks
-- above it; `id` is the task, if it is known already.
local function open_predecessors(after, edges, above, id)
  local open, left = {}, {}
  for _, first in ipairs(after) do
    local state = get(first, 'state')[1]
    local outcome = state and edge_outcome(state, edges[first] or {}) or 'met'
    if outcome == 'open' then
      if not open[first] then
        open[first] = true
        open[#open + 1] = first
      end
    elseif outcome == 'met' then
      -- From within a task, only its own end is waited for.
      if state and not above[first] then add_open_work(first, left, above) end
    else
      return nil, first, state, outcome
    end
  end
  for _, one in ipairs(id and not_behind(id, left) or left) do
    if not open[one] then open[#open + 1] = one end
  end
  return open
end

-- From now on a task waits for these, too.
local function wait_for(id, open)
  -- Lua passes no more than some thousand arguments.
  for from = 1, #open, 1000 do
    redis.call('SADD', P .. 'deps:' .. id, unpack(open, from, math.min(#open, from + 999)))
  end
  for _, first in ipairs(open) do redis.call('SADD', P .. 'dependents:' .. first, id) end
end

-- A task that had ended is open again: what comes after it or after a task above it that has ended, and still waits, waits
-- for it as well. `above` is the one whose dependents are looked at.
local function reopen(id, above)
  for _, dependent in ipairs(redis.pcall('SMEMBERS', P .. 'dependents:' .. above)) do
    local f = get(dependent, 'state', 'unapproved', 'awaits', 'after')
    local waits = f[1] == 'blocked' and not f[3] or f[1] == 'held' and f[2]
    -- From within a task, only its own end is waited for.
    if waits and edge_from(above, f[4]) and not with_ancestors(dependent)[above] then
      wait_for(dependent, not_behind(dependent, {id}))
    end
  end
  local f = get(above, 'parent', 'detached')
  local state = f[1] and not f[2] and get(f[1], 'state')[1]
  if state and not OPEN[state] then reopen(id, f[1]) end
end
