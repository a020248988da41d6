-- Accepts a task: blocked while a dependency is open, else ready.
-- KEYS: 1 prefix
-- ARGV: 1 id, 2 spec (JSON: role, priority, after, labels, artifacts, cwd, timeout_ms, retries, lost_max, key, notify, parent,
--       attempt_fence, incarnation, fingerprint, max_depth, max_children), 3 text, 4 context (JSON or ''), 5 who asks
-- Returns: {id, state, '1' if it was created by this call or an earlier sending of it}
-- Refuses: id_taken (by another task: take another), key_taken (it is that of another's task, for something else), draining,
--          unknown_dependency, stale, too_deep, too_many_children, dependency_ended
local id, spec = ARGV[1], cjson.decode(ARGV[2])

local known = get(id, 'state', 'role', 'text')
if known[1] then
  if known[2] ~= spec.role or known[3] ~= ARGV[3] then return refuse(REFUSAL.id_taken, id) end
  return {id, known[1], '1'}
end

local parent, p = spec.parent, nil
if parent then
  p = get(parent, 'state', 'fence', 'incarnation', 'depth', 'open_children', 'cancelling')
  if p[1] ~= 'running' or p[2] ~= spec.attempt_fence or p[3] ~= spec.incarnation or p[6] then
    return refuse(REFUSAL.stale, parent)
  end
end

-- The same call of an earlier attempt of the parent (its k-th with this very content) finds the subtask that it made
-- then: a retried parent does not have its work done twice. Failed and cancelled ones are made anew.
-- What is known is answered before any bound is looked at: it adds nothing.
local key, calls = spec.key, nil
if not key and parent and spec.fingerprint then
  calls = P .. 'calls:' .. parent .. ':' .. spec.attempt_fence
  local sent_before = redis.call('HGET', calls, 'found:' .. id)
  if sent_before then return {sent_before, get(sent_before, 'state')[1] or 'succeeded', '0'} end
  local k = tonumber(redis.call('HGET', calls, 'count:' .. spec.fingerprint) or '0') + 1
  key = 'auto:' .. parent .. ':' .. spec.fingerprint .. ':' .. k
end
local function count_call()
  redis.call('HINCRBY', calls, 'count:' .. spec.fingerprint, 1)
  redis.call('PEXPIRE', calls, 86400000)
end
local existing = key and redis.call('GET', P .. 'key:' .. key)
if existing then
  local e = get(existing, 'state', 'parent', 'role', 'text', 'cwd', 'context')
  local state = e[1]
  -- Models call different things the same. Whoever asks within a task for something else does not get another's answer.
  local same = e[3] == spec.role and e[4] == ARGV[3] and (e[5] or '') == (spec.cwd or '') and (e[6] or '') == ARGV[4]
  if state and spec.key and parent and e[2] ~= parent and not same then return refuse(REFUSAL.key_taken, existing) end
  if state and (spec.key or (state ~= 'failed' and state ~= 'cancelled')) then
    if calls then
      redis.call('HSET', calls, 'found:' .. id, existing)
      count_call()
    end
    return {existing, state, '0'}
  end
end

local depth = 0
if parent then
  depth = number(p[4]) + 1
  if depth > spec.max_depth then return refuse(REFUSAL.too_deep, tostring(spec.max_depth)) end
  if number(p[5]) >= spec.max_children then return refuse(REFUSAL.too_many_children, tostring(spec.max_children)) end
else
  local drain = redis.call('HGET', P .. 'requests', 'drain')
  if drain then return refuse(REFUSAL.draining, drain) end
end

local open = {}
for _, dependency in ipairs(spec.after) do
  local state = get(dependency, 'state')[1]
  if not state then return refuse(REFUSAL.unknown_dependency, dependency) end
  if state == 'failed' or state == 'cancelled' then return refuse(REFUSAL.dependency_ended, dependency .. ' ' .. state) end
  if state ~= 'succeeded' and not open[dependency] then
    open[dependency] = true
    open[#open + 1] = dependency
  end
end

local why = 'delegated by ' .. ARGV[5]
if #open > 0 then
  why = why .. '; waits for ' .. table.concat(open, ', ', 1, math.min(#open, 5))
  if #open > 5 then why = why .. ' and ' .. (#open - 5) .. ' more' end
end
spec.depth = depth
local state = accept(id, spec, key, ARGV[3], ARGV[4], open, why)
if calls then count_call() end
return {id, state, '1'}
