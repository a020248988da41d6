-- Accepts the first occurrence of a schedule that waits as a task, or as a plan whose tasks are staged; or records why it
-- cannot run.
-- KEYS: 1 prefix
-- ARGV: 1 schedule, 2 the occurrence (ms), 3 'task', 'plan' or 'failed', 4 its time in words, or why it cannot run, 5 the id of
--       the task or of the plan, 6 its terms (JSON, as for task/delegate or plan/submit), 7 the task's text
-- Returns: the id of what it runs as, or '' where it cannot run
-- Refuses: stale (it does not wait any more), overlaps (the run before, which the detail names, is not over), draining,
--          recovering, queue_full, unknown (what was staged is gone: stage it again), id_taken
local name, id = ARGV[1], ARGV[5]
local record, waiting = P .. 'schedule:' .. name, P .. 'schedule_waiting:' .. name
local first = redis.call('LINDEX', waiting, 0)
local occurrence = first and cjson.decode(first)
if not occurrence or occurrence.at ~= tonumber(ARGV[2]) then return refuse(REFUSAL.stale, name) end

if ARGV[3] == 'failed' then
  redis.call('LPOP', waiting)
  redis.call('HDEL', record, 'obstacle')
  redis.call('HSET', record, 'failure', ARGV[4])
  note_occurrences(name, occurrence.at, occurrence.at, 1, 'failed', nil, ARGV[4])
  return ''
end

local before = open_run(name)
if before then return refuse(REFUSAL.overlaps, before) end
local requests = redis.call('HMGET', P .. 'requests', 'drain', 'stop')
if requests[1] or requests[2] then return refuse(REFUSAL.draining, requests[1] or requests[2]) end
-- What Redis has lost may come back with this very occurrence.
if number(redis.call('HGET', P .. 'epoch', 'settling_until')) > now then return refuse(REFUSAL.recovering, name) end
local terms = cjson.decode(ARGV[6])
local is_plan, is_known = ARGV[3] == 'plan', false
if is_plan then
  is_known = redis.call('EXISTS', P .. 'plan:' .. id) == 1
elseif redis.call('GET', P .. 'key:' .. terms.key) then
  id, is_known = redis.call('GET', P .. 'key:' .. terms.key), true
elseif get(id, 'state')[1] then
  return refuse(REFUSAL.id_taken, id)
end
if not is_known then
  if is_plan and #redis.call('HKEYS', P .. 'staged:' .. id) ~= terms.total then return refuse(REFUSAL.unknown, id) end
  if queued_tasks() + (terms.total or 1) > terms.max_queued then
    return refuse(REFUSAL.queue_full, tostring(terms.max_queued))
  end
end

redis.call('LPOP', waiting)
redis.call('HDEL', record, 'obstacle', 'failure')
redis.call('HSET', record, 'last', id, 'last_at', occurrence.at)
local what = 'the occurrence of ' .. ARGV[4]
if occurrence.by then what = 'a run that ' .. occurrence.by .. ' asked for' end
note_occurrences(name, occurrence.at, occurrence.at, 1, 'run', id, what .. ' runs as ' .. id)
if not is_known then
  if is_plan then
    accept_plan(id, terms, 0, 'schedule ' .. name)
    grow(id, GROWN_AT_ONCE)
  else
    terms.depth = 0
    accept(id, terms, terms.key, ARGV[7], '', {}, 'delegated by schedule ' .. name .. ', ' .. what)
  end
end
return id
