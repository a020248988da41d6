-- What every transition begins with: the namespace's prefix, Redis's clock, and the few moves that all of them are
-- made of. TASK and AGENT, the tables of allowed transitions, stand above this text: they are written from
-- src/model, so that there is one table each. EVENT, REFUSAL, CAUSE and CODE are the words of src/model: before a
-- script is sent, each `EVENT.task_ready` is replaced by its word, 'task.ready', which costs nothing at run time; a
-- word that src/model does not know is an error.
--
-- A script reads and checks everything before its first write, because Lua does not roll back.
-- Every key it touches begins with KEYS[1], which carries the hash tag, so one script stays in one cluster slot.

local P = KEYS[1]
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

local function other_format(found)
  return redis.error_reply('OTHERFORMAT ' .. string.format('%.0f', found))
end

-- A newer release may have migrated the namespace while this process was running.
local format = tonumber(redis.call('GET', P .. 'format') or '')
if format and format > FORMAT then return other_format(format) end

-- About two weeks of busy work. What `orch why` needs stands in the records themselves, not here.
local EVENTS_KEPT = 100000
local RANK = {high = 0, normal = 1, low = 2}
local OPEN = {blocked = true, ready = true, delayed = true, held = true, running = true}

-- Whether a table of transitions, 'from>to' between spaces, has this one.
local function allows(transitions, from, to)
  return string.find(transitions, ' ' .. from .. '>' .. to .. ' ', 1, true)
end

local function append(list, ...)
  for _, value in ipairs({...}) do list[#list + 1] = value end
end

local function refuse(code, detail)
  return redis.error_reply('REFUSED ' .. code .. ' ' .. (detail or ''))
end

-- What is recorded first in a namespace comes with the number of its format.
local function mark_format()
  if not format and redis.call('EXISTS', P .. 'events') == 0 then
    format = FORMAT
    redis.call('SET', P .. 'format', FORMAT)
  end
end

-- The newest events about a task are also listed by their ids, so that `orch why` reads them alone. The list begins with the
-- task (`accept` in moves.lua); a task that an earlier release has accepted has none.
local TRAIL = 50

-- `code` is a word finer than the kind, where there is one: why an attempt or an agent ended. Returns the event's id.
local function event(kind, task, agent, from, to, reason, data, code)
  mark_format()
  local entry = redis.call('XADD', P .. 'events', 'MAXLEN', '~', EVENTS_KEPT, '*', 'kind', kind, 'task', task or '',
    'agent', agent or '', 'from', from or '', 'to', to or '', 'reason', reason, 'data', data or '', 'code', code or '')
  if task and task ~= '' then
    local length = redis.pcall('RPUSHX', P .. 'trail:' .. task, entry)
    if type(length) == 'number' and length >= 2 * TRAIL then redis.call('LTRIM', P .. 'trail:' .. task, -TRAIL, -1) end
  end
  return entry
end

-- A wake-up only says "look again", so one marker is enough for a single reader.
local function wake(name)
  local list = P .. 'wake:' .. name
  if redis.call('LLEN', list) == 0 then redis.call('RPUSH', list, '1') end
end

-- Whether another agent of the role could have a slot.
local function has_free_slot(role, idle)
  local max = tonumber(redis.call('HGET', P .. 'limits', 'max:' .. role) or '')
  if not max then return true end
  local waiting = redis.call('ZCOUNT', P .. 'waiting:' .. role, now, '+inf')
  return redis.call('SCARD', P .. 'running:' .. role) - waiting + idle < max
end

-- One marker per ready task: each wakes one idle agent, not the whole herd. The two counts are read unless given.
-- `by_another`: another task has made it ready. The supervisor would look after the end of each task of a plan, and need not
-- where all slots have an agent.
local function wake_role(role, ready, idle, by_another)
  local list = P .. 'wake:role:' .. role
  ready = ready or redis.call('ZCARD', P .. 'ready:' .. role)
  if redis.call('LLEN', list) < ready then redis.call('RPUSH', list, '1') end
  idle = idle or redis.call('SCARD', P .. 'idle:' .. role)
  if ready > idle and (not by_another or has_free_slot(role, idle)) then wake('supervisor') end
end

-- A slot of the role has become free, or an agent that took a marker will not act on it: wakes an idle agent if there is
-- a ready task.
local function offer(role)
  local ready = redis.call('ZCARD', P .. 'ready:' .. role)
  if ready == 0 then return end
  local idle = redis.call('SCARD', P .. 'idle:' .. role)
  if idle > 0 then wake_role(role, ready, idle) end
end

-- Returns fields of a task; none if the record is not a hash.
local function get(id, ...)
  return redis.pcall('HMGET', P .. 'task:' .. id, ...)
end

local function number(text)
  return tonumber(text or '0') or 0
end

-- A fence as it is written to JSON. cjson writes numbers with 14 digits, so a larger one is a text there; 2^53 is the end,
-- beyond which Lua's numbers are not exact.
local function exact(fence)
  return fence < 1e14 and fence or string.format('%.0f', fence)
end

-- Whether a record has every field that a move needs. A record that was damaged after a script wrote it must neither stop
-- a script in the middle of its writes nor block the tasks behind it: it is quarantined (task/quarantine.lua).
-- Also returns its state, role, number of attempts, timeout_ms and deadline_at.
local function is_sound(id)
  local f = get(id, 'role', 'priority', 'seq', 'number', 'text', 'state', 'timeout_ms', 'deadline_at')
  local attempts = redis.call('TYPE', P .. 'attempts:' .. id).ok
  local sound = f[1] and RANK[f[2] or ''] and tonumber(f[3]) and f[5] and (f[4] or ''):match('^%d+$') and #f[4] < 10
    and (attempts == 'list' or attempts == 'none')
  return sound, f[6], f[1], tonumber(f[4] or ''), f[7], f[8]
end

-- Returns the last attempt of a task, or an empty table if it can't be decoded.
local function last_attempt(id)
  local text = redis.pcall('LINDEX', P .. 'attempts:' .. id, -1)
  local reads, attempt = pcall(cjson.decode, text)
  return reads and type(attempt) == 'table' and attempt or {}
end

-- How many tasks have yet to run.
local function queued_tasks()
  local queued = 0
  for _, state in ipairs({'ready', 'blocked', 'delayed', 'held'}) do
    queued = queued + redis.call('ZCARD', P .. 'state:' .. state)
  end
  return queued
end

-- The place of a task among the ready ones, as `place_of` in moves.lua has set it. One of an earlier release has none, and
-- goes by its priority and order before all that have.
local function place_in(id)
  local f = get(id, 'place', 'priority', 'seq')
  return tonumber(f[1] or '') or (RANK[f[2]] or RANK.normal) * 1e13 + number(f[3])
end
