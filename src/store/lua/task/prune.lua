-- Forgets tasks of one state that ended long ago. What an open task still refers to (its parent, its dependency) stays.
-- KEYS: 1 prefix
-- ARGV: 1 older than (ms), 2 how many at most, 3 the state (an ended one), 4 how many that stay to pass over first,
--       5 '1' to forget nothing, and only say what would be forgotten
-- Returns: {the next call's 4, or '' where there are no more; the ids that were forgotten}
local at_most, state, kept, is_trial = tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[4]), ARGV[5] == '1'
if OPEN[state] then error('tasks that are ' .. state .. ' have not ended') end
-- How many tasks that must stay one call passes over at most: Redis serves no other client meanwhile.
local last = kept + 1000
local gone = {}

local function is_open(id)
  return OPEN[get(id, 'state')[1]]
end

local function is_needed(id, parent, open_children, plan)
  local its_plan = plan and redis.pcall('HGET', P .. 'plan:' .. plan, 'state')
  if its_plan == 'running' or its_plan == 'held' then return true end
  if number(open_children) > 0 or (parent and is_open(parent)) then return true end
  for _, dependent in ipairs(redis.pcall('SMEMBERS', P .. 'dependents:' .. id)) do
    if is_open(dependent) then return true end
  end
  return false
end

-- A plan is forgotten with the last of its tasks.
local function forget_in_plan(plan, key)
  local tasks = P .. 'plan_tasks:' .. plan
  count_in_plan(plan, state, nil)
  redis.call('HDEL', tasks, key or '')
  if redis.call('EXISTS', tasks) == 0 then
    local its_key = redis.call('HGET', P .. 'plan:' .. plan, 'key')
    if its_key and redis.call('GET', P .. 'plan_key:' .. its_key) == plan then redis.call('DEL', P .. 'plan_key:' .. its_key) end
    redis.call('DEL', P .. 'plan:' .. plan)
    redis.call('ZREM', P .. 'plans', plan)
    redis.call('HDEL', P .. 'weights', plan)
  end
end

local function forget(id, key, parent, dependencies)
  redis.call('DEL', P .. 'task:' .. id, P .. 'attempts:' .. id, P .. 'children:' .. id, P .. 'deps:' .. id,
    P .. 'dependents:' .. id, P .. 'quarantine:' .. id, P .. 'questions:' .. id, P .. 'messages:' .. id,
    P .. 'marks:' .. id, P .. 'trail:' .. id)
  redis.call('ZREM', P .. 'state:' .. state, id)
  redis.call('ZREM', P .. 'tasks', id)
  redis.call('ZREM', P .. 'ids', id)
  if key and redis.call('GET', P .. 'key:' .. key) == id then redis.call('DEL', P .. 'key:' .. key) end
  if parent then redis.call('LREM', P .. 'children:' .. parent, 1, id) end
  local reads, after = pcall(cjson.decode, dependencies or '[]')
  for _, dependency in ipairs(reads and type(after) == 'table' and after or {}) do
    redis.call('SREM', P .. 'dependents:' .. dependency, id)
  end
end

local ids
repeat
  local n = math.min(at_most - #gone, 500)
  ids = redis.call('ZRANGEBYSCORE', P .. 'state:' .. state, '-inf', now - ARGV[1], 'LIMIT', kept, n)
  for _, id in ipairs(ids) do
    local f = get(id, 'key', 'parent', 'open_children', 'after', 'plan', 'plan_key')
    local needed = is_needed(id, f[2], f[3], f[5])
    if needed or is_trial then kept = kept + 1 end
    if not needed then
      if not is_trial then
        forget(id, f[1], f[2], f[4])
        if f[5] then forget_in_plan(f[5], f[6]) end
      end
      gone[#gone + 1] = id
    end
  end
until #ids == 0 or #gone >= at_most or kept >= last
return {#ids > 0 and string.format('%.0f', kept) or '', gone}
