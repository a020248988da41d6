-- Accepts a plan whose tasks are staged: all of them or none. The first ones become tasks in the same step.
-- KEYS: 1 prefix
-- ARGV: 1 plan, 2 what it is (JSON: name, text, total, max_queued, max_depth, max_children, notify, weight; parent, attempt_fence,
--       incarnation, where it is submitted within an attempt; key, digest, its content in short, and repeats, set where the key is not
--       the caller's, but that of an attempt's call with this content), 3 the caller in words
-- Returns: {state, how many of its tasks are not made yet, '1' if it was accepted by this call, else '0', the plan: an earlier one with
--          its key, or this one}
-- Refuses: unknown (what was staged is gone: stage it again), key_taken (it is that of a plan with another content), draining,
--          queue_full, stale, too_deep, too_many_children
local plan, record, staged = ARGV[1], P .. 'plan:' .. ARGV[1], P .. 'staged:' .. ARGV[1]
local known = redis.call('HMGET', record, 'state', 'made', 'total')
if known[1] then return {known[1], string.format('%d', number(known[3]) - number(known[2])), '0', plan} end
local terms = cjson.decode(ARGV[2])
local existing = terms.key and redis.call('GET', P .. 'plan_key:' .. terms.key)
local e = existing and redis.call('HMGET', P .. 'plan:' .. existing, 'state', 'made', 'total', 'digest') or {}
if e[1] and not terms.repeats and e[4] ~= terms.digest then return refuse(REFUSAL.key_taken, existing) end
-- A retried task does not have its plan done twice; one that failed or was cancelled is submitted again.
if e[1] and (not terms.repeats or e[1] == 'running' or e[1] == 'held' or e[1] == 'succeeded') then
  redis.call('DEL', staged)
  return {e[1], string.format('%d', number(e[3]) - number(e[2])), '0', existing}
end
if #redis.call('HKEYS', staged) ~= terms.total then return refuse(REFUSAL.unknown, plan) end
local depth = 0
if terms.parent then
  local p = get(terms.parent, 'state', 'fence', 'incarnation', 'depth', 'open_children', 'cancelling')
  if p[1] ~= 'running' or p[2] ~= terms.attempt_fence or p[3] ~= terms.incarnation or p[6] then
    return refuse(REFUSAL.stale, terms.parent)
  end
  depth = number(p[4]) + 1
  if depth > terms.max_depth then return refuse(REFUSAL.too_deep, tostring(terms.max_depth)) end
  if number(p[5]) + terms.total > terms.max_children then
    return refuse(REFUSAL.too_many_children, tostring(terms.max_children))
  end
else
  local drain = redis.call('HGET', P .. 'requests', 'drain')
  if drain then return refuse(REFUSAL.draining, drain) end
end
if queued_tasks() + terms.total > terms.max_queued then return refuse(REFUSAL.queue_full, tostring(terms.max_queued)) end

accept_plan(plan, terms, depth, ARGV[3])
-- A task's own subtasks are few, and end with it.
local left = grow(plan, terms.parent and terms.total or GROWN_AT_ONCE)
return {redis.call('HGET', record, 'state'), string.format('%d', left), '1', plan}
