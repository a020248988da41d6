-- Part of the prelude of the transitions of schedules: what is recorded of their occurrences.

-- Entries of a schedule's log.
local OCCURRENCES_KEPT = 200

-- Records what became of an occurrence of a schedule, or of several from one to another, and why: 'run' as the task or the
-- plan `run`, 'skipped' or 'failed'.
local function note_occurrences(name, from, to, count, outcome, run, reason)
  local log = P .. 'schedule_log:' .. name
  local data = {schedule = name, at = from, to = to, count = count, decided_at = now, outcome = outcome, run = run, reason = reason}
  redis.call('RPUSH', log, cjson.encode(data))
  redis.call('LTRIM', log, -OCCURRENCES_KEPT, -1)
  local what = 'schedule ' .. name .. (count > 1 and ', ' .. count .. ' occurrences' or '') .. ': ' .. reason
  event('schedule.' .. outcome, nil, nil, nil, nil, what, cjson.encode(data))
end

-- The last run of a schedule, where it is not over.
local function open_run(name)
  local last = redis.call('HGET', P .. 'schedule:' .. name, 'last')
  if not last then return nil end
  if string.sub(last, 1, 2) == 'p-' then
    local state = redis.call('HGET', P .. 'plan:' .. last, 'state')
    return (state == 'running' or state == 'held') and last or nil
  end
  return OPEN[get(last, 'state')[1] or ''] and last or nil
end

-- What waits of a schedule does not run.
local function drop_waiting(name, reason)
  local waiting = P .. 'schedule_waiting:' .. name
  for _, text in ipairs(redis.call('LRANGE', waiting, 0, -1)) do
    local at = cjson.decode(text).at
    note_occurrences(name, at, at, 1, 'skipped', nil, reason)
  end
  redis.call('DEL', waiting)
  redis.call('HDEL', P .. 'schedule:' .. name, 'obstacle')
end
