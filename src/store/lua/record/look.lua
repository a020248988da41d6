-- Everything that is stored about some tasks and agents, and about their neighbours as far as it concerns them, at one
-- moment. It reads and writes nothing. Texts, contexts and results are left out: they may be large.
-- KEYS: 1 prefix
-- ARGV: 1 which (JSON: tasks, agents, roles, each a list, and perhaps plans)
-- Returns: {id of the last event or '', {key without prefix, 'fields' 'list' 'set' 'scores' or 'text', content...}...}; of what
--          is shared (sets, lists of neighbours) only the members that were asked for
local which = cjson.decode(ARGV[1])
local STATES = {'blocked', 'ready', 'delayed', 'held', 'running', 'succeeded', 'failed', 'cancelled', 'skipped'}
local TASK_FIELDS = {'role', 'state', 'since', 'priority', 'seq', 'depth', 'created_at', 'number', 'agent', 'incarnation',
  'fence', 'place', 'cancelling', 'waiting_until', 'due_at', 'deadline_at', 'ended_at', 'parent', 'open_children', 'after',
  'edges', 'asks', 'unapproved', 'awaits', 'detached', 'writes', 'reads', 'parked', 'parked_at', 'offered', 'reserved_until',
  'used_input_tokens', 'used_output_tokens', 'used_micro_usd', 'used_estimated_micro_usd', 'used_estimated_tokens', 'live', 'code',
  'reserves', 'share', 'slot_at', 'short', 'short_at', 'tree_micro_usd', 'holds', 'approval_timeout_ms'}
local AGENT_FIELDS = {'role', 'state', 'incarnation', 'master', 'task', 'fence'}

local last_event = redis.call('XREVRANGE', P .. 'events', '+', '-', 'COUNT', 1)[1]
local seen = {last_event and last_event[1] or ''}

local function add(key, kind, content)
  -- A key of another type is returned with the error.
  if content.err then kind, content = 'text', {content.err} end
  if #content == 0 then return end
  local entry = {key, kind}
  for _, v in ipairs(content) do entry[#entry + 1] = v end
  seen[#seen + 1] = entry
end

local function fields(key, names)
  local values, content = redis.pcall('HMGET', P .. key, unpack(names)), {}
  content.err = values.err
  for i, name in ipairs(names) do
    if values[i] then
      content[#content + 1] = name
      content[#content + 1] = values[i]
    end
  end
  add(key, 'fields', content)
end

local function score(key, member)
  local value = redis.pcall('ZSCORE', P .. key, member)
  if type(value) == 'string' then add(key, 'scores', {member, value}) end
end

local function member(key, id)
  if redis.pcall('SISMEMBER', P .. key, id) == 1 then add(key, 'set', {id}) end
end

local is_subject = {}
for _, id in ipairs(which.tasks) do is_subject[id] = true end

local function neighbour(id)
  if not is_subject[id] then fields('task:' .. id, TASK_FIELDS) end
end

-- Which task is listed already as a subtask of which.
local listed = {}

-- The open subtasks of a task, and those of its ended subtasks.
local function left_open(id)
  for _, child in ipairs(redis.pcall('LRANGE', P .. 'children:' .. id, 0, -1)) do
    if not is_subject[id] and not listed[id .. child] then
      listed[id .. child] = true
      add('children:' .. id, 'list', {child})
    end
    neighbour(child)
    if not OPEN[get(child, 'state')[1] or ''] then left_open(child) end
  end
end

-- Another running task's lock that excludes this one, if neither task is above the other.
local function stands_against(entry)
  local mode, pattern, id = read_entry(entry)
  local function is_stranger(holder)
    return string.sub(holder, 1, 1) == 't' and not with_ancestors(holder)[id]
  end
  return blocker(id, mode, pattern, is_stranger)
end

for _, id in ipairs(which.tasks) do
  fields('task:' .. id, TASK_FIELDS)
  score('tasks', id)
  score('ids', id)
  score('asking', id)
  score('deadlines', id)
  score('parked', id)
  score('approval_ends', id)
  local queue = redis.pcall('HGET', P .. 'task:' .. id, 'parked')
  if type(queue) == 'string' and string.find(queue, '\1', 1, true) then
    score('parked:' .. string.match(queue, '\1(.*)$'), id)
    score('wants', queue)
  end
  for _, holder in ipairs({id, '~' .. id}) do
    local entries = redis.pcall('HKEYS', P .. 'held:' .. holder)
    add('held:' .. holder, 'list', entries)
    for _, entry in ipairs(entries) do
      score('locks', entry)
      if holder == id then
        local other = stands_against(entry)
        if other then add('overlaps:' .. id, 'list', {entry, other}) end
      end
    end
  end
  for _, state in ipairs(STATES) do score('state:' .. state, id) end
  local short = redis.pcall('HGET', P .. 'task:' .. id, 'short')
  if type(short) == 'string' then score('short:' .. short, id) end
  for _, role in ipairs(which.roles) do
    score('ready:' .. role, id)
    local priority, share = terms_of_turn(id)
    score('queue:' .. role .. ':' .. priority .. ':' .. share, id)
    fields('shares:' .. role, {'mistrusted'})
    member('running:' .. role, id)
    score('waiting:' .. role, id)
  end
  add('attempts:' .. id, 'list', redis.pcall('LRANGE', P .. 'attempts:' .. id, 0, -1))
  add('questions:' .. id, 'list', redis.pcall('LRANGE', P .. 'questions:' .. id, 0, -1))
  fields('marks:' .. id, {'count', 'read:task'})
  add('trail:' .. id, 'list', redis.pcall('LRANGE', P .. 'trail:' .. id, -1, -1))
  add('deps:' .. id, 'set', redis.pcall('SMEMBERS', P .. 'deps:' .. id))
  local children = redis.pcall('LRANGE', P .. 'children:' .. id, 0, -1)
  local dependents = redis.pcall('SMEMBERS', P .. 'dependents:' .. id)
  add('children:' .. id, 'list', children)
  add('dependents:' .. id, 'set', dependents)
  for _, child in ipairs(children) do neighbour(child) end
  for _, dependent in ipairs(dependents) do neighbour(dependent) end
  local f = get(id, 'parent', 'after', 'agent')
  if f[1] and not is_subject[f[1]] then
    neighbour(f[1])
    for _ = 1, listed[f[1] .. id] and 0 or #redis.pcall('LPOS', P .. 'children:' .. f[1], id, 'COUNT', 0) do
      listed[f[1] .. id] = true
      add('children:' .. f[1], 'list', {id})
    end
  end
  local reads, after = pcall(cjson.decode, f[2] or '[]')
  for _, dependency in ipairs(reads and type(after) == 'table' and after or {}) do
    if type(dependency) == 'string' then
      neighbour(dependency)
      left_open(dependency)
      if not is_subject[dependency] then member('dependents:' .. dependency, id) end
    end
  end
  if f[3] then fields('agent:' .. f[3], AGENT_FIELDS) end
end

for _, id in ipairs(which.agents) do
  fields('agent:' .. id, AGENT_FIELDS)
  member('agents', id)
  for _, role in ipairs(which.roles) do member('idle:' .. role, id) end
  local task = redis.pcall('HGET', P .. 'agent:' .. id, 'task')
  if type(task) == 'string' then neighbour(task) end
end

local PLAN_FIELDS = {'state', 'made', 'total', 'ended_at', 'used_micro_usd', 'n:short', 'short'}
for _, state in ipairs(STATES) do PLAN_FIELDS[#PLAN_FIELDS + 1] = 'n:' .. state end
for _, id in ipairs(which.plans or {}) do
  fields('plan:' .. id, PLAN_FIELDS)
  local tasks = redis.pcall('HGETALL', P .. 'plan_tasks:' .. id)
  add('plan_tasks:' .. id, 'fields', tasks)
  for i = 2, #tasks, 2 do fields('task:' .. tasks[i], {'state', 'plan', 'short', 'tree_micro_usd'}) end
end
return seen
