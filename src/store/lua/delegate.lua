-- Accepts a task: blocked while a dependency is open, else ready.
-- KEYS: 1 prefix
-- ARGV: 1 id, 2 spec (JSON: role, priority, after, labels, artifacts, cwd, timeout_ms, retries, lost_max, key, parent,
--       attempt_fence, incarnation, fingerprint, max_depth, max_children), 3 text, 4 context (JSON or ''), 5 who asks
-- Returns: {id, state, '1' if it was created by this call or an earlier sending of it}
-- Refuses: draining, unknown_dependency, stale, too_deep, too_many_children, dependency_ended
local id, spec = ARGV[1], cjson.decode(ARGV[2])

local known = get(id, 'state')[1]
if known then return {id, known, '1'} end

local intent = redis.call('HMGET', P .. 'intent', 'drain', 'stop')
local depth, parent = 0, spec.parent
if parent then
  local p = get(parent, 'state', 'fence', 'incarnation', 'depth', 'open_children', 'cancelling')
  if p[1] ~= 'running' or p[2] ~= spec.attempt_fence or p[3] ~= spec.incarnation or p[6] then
    return refuse('stale', parent)
  end
  depth = tonumber(p[4]) + 1
  if depth > spec.max_depth then return refuse('too_deep', tostring(spec.max_depth)) end
  if tonumber(p[5] or '0') >= spec.max_children then return refuse('too_many_children', tostring(spec.max_children)) end
elseif intent[1] then
  return refuse('draining', intent[1])
end

-- The same call of an earlier attempt of the parent (its k-th with this very content) finds the subtask that it made
-- then: a retried parent does not have its work done twice. Failed and cancelled ones are made anew.
local key, count = spec.key, nil
if not key and parent and spec.fingerprint then
  count = P .. 'calls:' .. parent .. ':' .. spec.attempt_fence
  key = 'auto:' .. parent .. ':' .. spec.fingerprint .. ':' .. (tonumber(redis.call('HGET', count, spec.fingerprint) or '0') + 1)
end
local existing = key and redis.call('GET', P .. 'key:' .. key)
if existing then
  local state = get(existing, 'state')[1]
  local usable = state and (spec.key or (state ~= 'failed' and state ~= 'cancelled'))
  if usable then
    if count then
      redis.call('HINCRBY', count, spec.fingerprint, 1)
      redis.call('PEXPIRE', count, 86400000)
    end
    return {existing, state, '0'}
  end
end

local open = {}
for _, dependency in ipairs(spec.after) do
  local state = get(dependency, 'state')[1]
  if not state then return refuse('unknown_dependency', dependency) end
  if state == 'failed' or state == 'cancelled' then return refuse('dependency_ended', dependency .. ' ' .. state) end
  if state ~= 'succeeded' then open[#open + 1] = dependency end
end

local state = #open > 0 and 'blocked' or 'ready'
local seq = redis.call('INCR', P .. 'seq')
local fields = {
  'role', spec.role, 'state', state, 'since', now, 'text', ARGV[3], 'priority', spec.priority, 'seq', seq,
  'depth', depth, 'created_at', now, 'timeout_ms', spec.timeout_ms, 'retries', spec.retries,
  'lost_max', spec.lost_max, 'number', 0, 'failures', 0, 'lost', 0}
local function also(name, value)
  if value and value ~= '' then
    fields[#fields + 1] = name
    fields[#fields + 1] = value
  end
end
also('parent', parent)
also('key', key)
also('cwd', spec.cwd)
also('context', ARGV[4])
if #spec.after > 0 then also('after', cjson.encode(spec.after)) end
if next(spec.labels) then also('labels', cjson.encode(spec.labels)) end
if #spec.artifacts > 0 then also('artifacts', cjson.encode(spec.artifacts)) end
redis.call('HSET', P .. 'task:' .. id, unpack(fields))
redis.call('ZADD', P .. 'tasks', now, id)
redis.call('ZADD', P .. 'state:' .. state, now, id)
if key then redis.call('SET', P .. 'key:' .. key, id) end
if count then
  redis.call('HINCRBY', count, spec.fingerprint, 1)
  redis.call('PEXPIRE', count, 86400000)
end
if parent then
  redis.call('RPUSH', P .. 'children:' .. parent, id)
  redis.call('HINCRBY', P .. 'task:' .. parent, 'open_children', 1)
end
for _, dependency in ipairs(open) do
  redis.call('SADD', P .. 'deps:' .. id, dependency)
  redis.call('SADD', P .. 'dependents:' .. dependency, id)
end
if state == 'blocked' then
  event('task.blocked', id, nil, nil, state, 'delegated by ' .. ARGV[5] .. '; waits for ' .. table.concat(open, ', '))
else
  redis.call('HSET', P .. 'task:' .. id, 'ready_at', now)
  redis.call('ZADD', P .. 'ready:' .. spec.role, RANK[spec.priority] * 1e13 + seq, id)
  event('task.ready', id, nil, nil, state, 'delegated by ' .. ARGV[5])
  wake_role(spec.role)
end
return {id, state, '1'}
