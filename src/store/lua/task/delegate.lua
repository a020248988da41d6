-- Accepts tasks, all of them or none: each is held where a person has to approve it, blocked while a dependency is open,
-- else ready.
-- KEYS: 1 prefix
-- ARGV: 1 id, 2 spec (JSON: role, priority, after, edges, labels, artifacts, writes, reads, cwd, timeout_ms, retries, lost_max, key, notify, parent,
--       attempt_fence, incarnation, fingerprint, max_depth, max_children, max_wait_ms, max_queued; inherits, set where the
--       priority is that of the parent, if it has one; escalation where a person has to approve it:
--       question, reason, rights), 3 text, 4 context (JSON or ''), 5 the caller in words,
--       6... id, spec, text and context of each further task
-- Returns: {id, state, how} of each, in one list; how: '1' if it was created by this call or an earlier sending of it,
--          'other' if the task with its key has another content, else '0'
-- Refuses: id_taken (by another task: take another), key_taken (it is that of another's task, for something else), draining,
--          unknown_dependency, stale, too_deep, too_many_children, dependency_ended, queue_full
-- It may be sent before its caller has seen the format, and an older one is not its own.
if (format or redis.call('EXISTS', P .. 'events') == 1) and (format or 0) < FORMAT then return other_format(format or 1) end

-- What the tasks before one in the same call add: they are written after the last one was checked.
local keys, calls_made, children_made = {}, {}, {}
-- Tasks that have yet to run; read when the first new one is checked.
local queued

-- What is to become of one task: an answer for what is known already, or how it is accepted. Or a refusal.
local function check(id, text_of_spec, text, context)
  local spec = cjson.decode(text_of_spec)
  local known = get(id, 'state', 'role', 'text')
  if known[1] then
    if known[2] ~= spec.role or known[3] ~= text then return nil, refuse(REFUSAL.id_taken, id) end
    return {answer = {id, known[1], '1'}}
  end

  local parent, p = spec.parent, nil
  if parent then
    p = get(parent, 'state', 'fence', 'incarnation', 'depth', 'open_children', 'cancelling', 'priority')
    if p[1] ~= 'running' or p[2] ~= spec.attempt_fence or p[3] ~= spec.incarnation or p[6] then
      return nil, refuse(REFUSAL.stale, parent)
    end
    if spec.inherits and RANK[p[7] or ''] then spec.priority = p[7] end
  end

  -- The same call of an earlier attempt of the parent (its k-th with this very content) finds the subtask that it made
  -- then: a retried parent does not have its work done twice. Failed and cancelled ones are created again.
  -- What is known is answered before any bound is looked at: it adds nothing.
  local key, calls = spec.key, nil
  if not key and parent and spec.fingerprint then
    calls = P .. 'calls:' .. parent .. ':' .. spec.attempt_fence
    local sent_before = redis.call('HGET', calls, 'found:' .. id)
    if sent_before then return {answer = {sent_before, get(sent_before, 'state')[1] or 'succeeded', '0'}} end
    local made = calls_made[spec.fingerprint] or 0
    calls_made[spec.fingerprint] = made + 1
    local k = tonumber(redis.call('HGET', calls, 'count:' .. spec.fingerprint) or '0') + made + 1
    key = 'auto:' .. parent .. ':' .. spec.fingerprint .. ':' .. k
  end
  local here = key and keys[key]
  local existing = here and here.id or key and redis.call('GET', P .. 'key:' .. key)
  if existing then
    local e = here and {'ready', spec.parent, here.role, here.text, here.cwd, here.context}
      or get(existing, 'state', 'parent', 'role', 'text', 'cwd', 'context')
    local state = e[1]
    -- Models give different work the same key. A subtask with other content does not get the result of another task.
    -- A role that was chosen may be another one this time.
    local same = (e[3] == spec.role or spec.routing) and e[4] == text and (e[5] or '') == (spec.cwd or '') and (e[6] or '') == context
    if state and spec.key and parent and e[2] ~= parent and not same then return nil, refuse(REFUSAL.key_taken, existing) end
    if state and (spec.key or OPEN[state] or state == 'succeeded') then
      local how = spec.key and not same and 'other' or '0'
      return {existing = existing, id = id, calls = calls, spec = spec, how = how}
    end
  end

  spec.depth = 0
  if parent then
    spec.depth = number(p[4]) + 1
    if spec.depth > spec.max_depth then return nil, refuse(REFUSAL.too_deep, tostring(spec.max_depth)) end
    local made = children_made[parent] or 0
    if number(p[5]) + made >= spec.max_children then
      return nil, refuse(REFUSAL.too_many_children, tostring(spec.max_children))
    end
    children_made[parent] = made + 1
  else
    local drain = redis.call('HGET', P .. 'requests', 'drain')
    if drain then return nil, refuse(REFUSAL.draining, drain) end
  end

  queued = queued or queued_tasks()
  if spec.max_queued and queued >= spec.max_queued then
    return nil, refuse(REFUSAL.queue_full, tostring(spec.max_queued))
  end
  queued = queued + 1

  for _, dependency in ipairs(spec.after) do
    if not get(dependency, 'state')[1] then return nil, refuse(REFUSAL.unknown_dependency, dependency) end
  end
  local above = #spec.after > 0 and with_ancestors(parent) or {}
  local open, ended, state = open_predecessors(spec.after, decoded(spec.edges or ''), above)
  if not open then return nil, refuse(REFUSAL.dependency_ended, ended .. ' ' .. state) end
  if key then keys[key] = {id = id, role = spec.role, text = text, cwd = spec.cwd, context = context} end
  return {id = id, spec = spec, key = key, text = text, context = context, open = open, calls = calls}
end

local plans = {}
for at = 1, #ARGV, 4 do
  -- ARGV[5], the caller, stands between the first task and the others.
  local from = at == 1 and 1 or at + 1
  if from > #ARGV then break end
  local plan, refusal = check(ARGV[from], ARGV[from + 1], ARGV[from + 2], ARGV[from + 3])
  if not plan then return refusal end
  plans[#plans + 1] = plan
end

local function count_call(plan)
  redis.call('HINCRBY', plan.calls, 'count:' .. plan.spec.fingerprint, 1)
  redis.call('PEXPIRE', plan.calls, 86400000)
end

local reply = {}
local function add(id, state, created)
  reply[#reply + 1] = id
  reply[#reply + 1] = state
  reply[#reply + 1] = created
end
for _, plan in ipairs(plans) do
  if plan.answer then
    add(unpack(plan.answer))
  elseif plan.existing then
    if plan.calls then
      redis.call('HSET', plan.calls, 'found:' .. plan.id, plan.existing)
      count_call(plan)
    end
    add(plan.existing, get(plan.existing, 'state')[1], plan.how)
  else
    local open, why = plan.open, 'delegated by ' .. ARGV[5]
    if #open > 0 then
      why = why .. '; waits for ' .. table.concat(open, ', ', 1, math.min(#open, 5))
      if #open > 5 then why = why .. ' and ' .. (#open - 5) .. ' more' end
    end
    local state = accept(plan.id, plan.spec, plan.key, plan.text, plan.context, open, why, plan.spec.escalation)
    if plan.calls then count_call(plan) end
    add(plan.id, state, '1')
  end
end
return reply
