-- Part of the prelude of every transition: the locks that running tasks and persons hold, and the ready tasks that wait for
-- one ("parked").
--
-- `locks` is a sorted set in the order of the alphabet. An entry is `node 1 mode pattern 1 holder`, where 1 is the character
-- of that number, which no pattern has, and mode is 'w' or 'r'. Patterns that conflict have nodes of which one is the other
-- or above it, so that a claim looks at a few ranges of that set, and at nothing else.
-- The holder is a task, a person's lock ('l-...'), or a task that waits for its locks ('~t-...'): such a reservation keeps
-- younger tasks out, so that a task that needs many locks gets them all.
--
-- A parked task is in the queue of what it lacks first: `parked:<mode><pattern> 1 role 1 parent`. All tasks of one queue are
-- kept out by the same locks, because a task is never kept out by those of a task above it; so only the first is looked at.
-- `wants` has the queues as `locks` has the locks. For each queue that has a task, there is always one of these: a lock in its
-- way; a task of it that was offered and is in `ready:<role>`; or a range in `lock_offers`, which is looked at soon.

-- How many queues and tasks one call looks at when it offers: Redis serves no other client meanwhile.
local offers_left = 64

-- How long a reservation keeps younger tasks out. The task may be of a role that starts nothing for hours.
local RESERVED = 600000

-- A task reserves what it needs when it has been overtaken so often, times the number of its locks, and one task at a time.
-- What is reserved lies idle while its task waits for the rest: where each task did so once it was overtaken, 20 agents had a
-- fifth of the work that the locks of 200 tasks allow; so they have 95 %, and a task of ten locks among tasks of one waits for
-- at most twice the longest of these (tests/store/lock_figures.rs).
local OVERTAKEN, RESERVERS = 30, 1

-- How many entries of `locks` this call has compared.
local compared = 0

local function entry_of(mode, pattern, rest)
  return node_of(pattern) .. '\1' .. mode .. pattern .. '\1' .. rest
end

-- The mode, the pattern and what follows in an entry.
local function read_entry(entry)
  return string.match(entry, '\1(.)([^\1]*)\1(.*)$')
end

-- What a task needs: {mode, pattern} each. `writes`, `reads`, `plan` and `max_parallel` are the fields of its record. The last
-- of them may be one of the slots of its plan, with mode 's' and the plan in place of a pattern: it is counted and not
-- recorded in `locks`, and otherwise waited for like a lock.
local function wants_of(writes, reads, plan, max_parallel)
  local wants = {}
  for mode, field in pairs({w = writes or '', r = reads or ''}) do
    if field ~= '' then
      for _, pattern in ipairs(decoded(field)) do
        if type(pattern) == 'string' and pattern ~= '' then wants[#wants + 1] = {mode, pattern} end
      end
    end
  end
  if plan and max_parallel then wants[#wants + 1] = {'s', plan, number(max_parallel)} end
  return wants
end

-- The ranges of an index whose nodes are this one, above it or below it.
local function ranges_around(node)
  if node == '' then return {{'-', '+'}} end
  local ranges = {{'[\1', '(\2'}}
  local at = string.find(node, '/', 1, true)
  while at do
    local above = string.sub(node, 1, at - 1)
    ranges[#ranges + 1] = {'[' .. above .. '\1', '(' .. above .. '\2'}
    at = string.find(node, '/', at + 1, true)
  end
  ranges[#ranges + 1] = {'[' .. node .. '\1', '(' .. node .. '\2'}
  ranges[#ranges + 1] = {'[' .. node .. '/', '(' .. node .. '0'}
  return ranges
end

-- Whether a holder keeps `id` out: not itself, nor a task above it, nor what has expired, nor a reservation of a younger task.
local function keeps_out(holder, id)
  local kind = string.sub(holder, 1, 1)
  if kind == '~' then
    local reserver = string.sub(holder, 2)
    return reserver ~= id and number(get(reserver, 'reserved_until')[1]) > now and place_in(reserver) < place_in(id)
  elseif kind == 'l' then
    local till = tonumber(redis.call('HGET', P .. 'lock:' .. holder, 'until') or '')
    return not till or till > now
  end
  return not with_ancestors(id)[holder]
end

-- The first entry of `locks` that keeps `id` from one pattern; nil where it is free. Only those holders count for which
-- `counts` is true, if it is given.
local function blocker(id, mode, pattern, counts)
  local parts
  for _, range in ipairs(ranges_around(node_of(pattern))) do
    local entries = redis.call('ZRANGEBYLEX', P .. 'locks', range[1], range[2])
    compared = compared + #entries
    for _, entry in ipairs(entries) do
      local its_mode, its_pattern, holder = read_entry(entry)
      if mode == 'w' or its_mode == 'w' then
        parts = parts or parts_of(pattern)
        if patterns_meet(parts, parts_of(its_pattern)) and (not counts or counts(holder)) and keeps_out(holder, id) then
          return entry
        end
      end
    end
  end
end

-- The first of some wants that a task lacks, and the entry that keeps it out; nil where it lacks none.
local function lacked(id, wants)
  for _, want in ipairs(wants) do
    local entry
    if want[1] ~= 's' then
      entry = blocker(id, want[1], want[2])
    elseif number(redis.call('HGET', P .. 'plan:' .. want[2], 'n:running')) >= want[3] then
      entry = entry_of('s', want[2], '')
    end
    if entry then return want, entry end
  end
end

-- Records locks of a holder, which are free. `held:<holder>` has them with when and why.
local function take_locks(holder, wants, why)
  local note = cjson.encode({at = now, reason = why})
  for _, want in ipairs(wants) do
    if want[1] ~= 's' then
      local entry = entry_of(want[1], want[2], holder)
      redis.call('ZADD', P .. 'locks', 0, entry)
      redis.call('HSETNX', P .. 'held:' .. holder, entry, note)
    end
  end
end

-- Takes a task out of the queue in which it is parked, if it is.
local function leave_queue(id, queue)
  local key = P .. 'parked:' .. string.match(queue, '\1(.*)$')
  redis.call('ZREM', key, id)
  if redis.call('EXISTS', key) == 0 then redis.call('ZREM', P .. 'wants', queue) end
end

-- Reserves all that a task needs, if there are few reservations.
local function reserve_locks(id, wants)
  local is_new = redis.call('SISMEMBER', P .. 'reserving', id) == 0
  if is_new and redis.call('SCARD', P .. 'reserving') >= RESERVERS then return end
  redis.call('SADD', P .. 'reserving', id)
  take_locks('~' .. id, wants)
  redis.call('HSET', P .. 'task:' .. id, 'reserved_until', now + RESERVED)
  redis.call('ZADD', P .. 'lock_ends', now + RESERVED, '~' .. id)
end

-- A ready task lacks a lock: it leaves the ready tasks, and waits in the queue of that lock. One that was parked before has
-- been overtaken; a task that needs many locks is overtaken most often.
local function park(id, role, wants, want, entry)
  local f = get(id, 'parent', 'parked', 'parked_at', 'offered')
  if f[2] then leave_queue(id, f[2]) end
  local queue = entry_of(want[1], want[2], role .. '\1' .. (f[1] or ''))
  if f[4] and f[4] ~= queue then
    -- What it was offered for it has not taken: the next one of that queue may.
    local _, pattern = read_entry(f[4])
    redis.call('RPUSH', P .. 'lock_offers',
      cjson.encode({mode = 'w', pattern = pattern, min = '[' .. f[4], max = '[' .. f[4]}))
    wake('supervisor')
  end
  quit_ready(id, role)
  redis.call('ZADD', P .. 'parked:' .. string.match(queue, '\1(.*)$'), string.format('%.0f', place_in(id)), id)
  redis.call('ZADD', P .. 'wants', 0, queue)
  redis.call('HDEL', P .. 'task:' .. id, 'offered')
  redis.call('HSET', P .. 'task:' .. id, 'parked', queue)
  local _, its_pattern, holder = read_entry(entry)
  if not f[3] then
    redis.call('HSET', P .. 'task:' .. id, 'parked_at', now)
    redis.call('ZADD', P .. 'parked', now, id)
    local what = 'waits for the lock of ' .. want[2] .. ': ' .. holder .. ' has locked ' .. its_pattern
    if want[1] == 's' then what = 'waits until fewer than ' .. want[3] .. ' tasks of its plan run' end
    event(EVENT.task_parked, id, nil, 'ready', 'ready', what)
  elseif want[1] ~= 's' then
    local overtaken = redis.call('HINCRBY', P .. 'task:' .. id, 'overtaken', 1)
    if overtaken * #wants >= OVERTAKEN then reserve_locks(id, wants) end
  end
end

-- Offers the first tasks of a queue whose lock may be free: they are ready again. What still lacks another lock is parked
-- there. The others of a queue follow when the offered one has been claimed or is not ready any more.
local function offer_queue(queue)
  local mode, pattern, rest = read_entry(queue)
  local key = P .. 'parked:' .. string.match(queue, '\1(.*)$')
  local role = string.match(rest, '^[^\1]*')
  while true do
    local id = redis.call('ZRANGE', key, 0, 0)[1]
    if not id then return end
    if offers_left <= 0 then
      redis.call('RPUSH', P .. 'lock_offers',
        cjson.encode({mode = 'w', pattern = pattern, min = '[' .. queue, max = '[' .. queue}))
      return
    end
    offers_left = offers_left - 1
    local wants = wants_of(unpack(get(id, 'writes', 'reads', 'plan', 'max_parallel'), 1, 4))
    local want, entry = lacked(id, wants)
    if want and want[1] == mode and want[2] == pattern then return end
    if want then
      park(id, role, wants, want, entry)
    else
      leave_queue(id, queue)
      redis.call('HDEL', P .. 'task:' .. id, 'parked')
      redis.call('HSET', P .. 'task:' .. id, 'offered', queue)
      join_ready(id, role)
      wake_role(role)
      if mode ~= 'r' then return end
    end
  end
end

-- Looks at what `lock_offers` has, as far as this call may.
local function offer_further()
  while offers_left > 0 do
    local text = redis.call('LINDEX', P .. 'lock_offers', 0)
    if not text then return end
    -- The other half is for what the queues hold.
    local range, limit = decoded(text), math.max(1, math.floor(offers_left / 2))
    local queues = redis.call('ZRANGEBYLEX', P .. 'wants', range.min or '-', range.max or '+', 'LIMIT', 0, limit)
    -- Before the queues are offered, which may append to the list and take away from the set.
    if #queues < limit then
      redis.call('LPOP', P .. 'lock_offers')
    else
      range.min = '(' .. queues[#queues]
      redis.call('LSET', P .. 'lock_offers', 0, cjson.encode(range))
    end
    offers_left = offers_left - #queues
    local parts = parts_of(range.pattern or '.')
    for _, queue in ipairs(queues) do
      local mode, pattern = read_entry(queue)
      if (mode == 'w' or range.mode == 'w') and patterns_meet(parts_of(pattern), parts) then offer_queue(queue) end
    end
  end
  if redis.call('EXISTS', P .. 'lock_offers') == 1 then wake('supervisor') end
end

-- Some locks have become free: offers what waits for them.
local function offer_locks(entries)
  if redis.call('EXISTS', P .. 'wants') == 0 then return end
  for _, entry in ipairs(entries) do
    local mode, pattern = read_entry(entry)
    for _, range in ipairs(ranges_around(node_of(pattern))) do
      redis.call('RPUSH', P .. 'lock_offers',
        cjson.encode({mode = mode, pattern = pattern, min = range[1], max = range[2]}))
    end
  end
  offer_further()
end

-- One task less of a plan runs: offers what waits for a slot of it, one task of each role.
local function offer_slots(plan)
  if redis.call('EXISTS', P .. 'wants') == 0 then return end
  local queues = plan .. '\1'
  redis.call('RPUSH', P .. 'lock_offers',
    cjson.encode({mode = 'w', pattern = plan, min = '[' .. queues .. 's', max = '(' .. queues .. 't'}))
  offer_further()
end

-- Takes these locks of a holder away; all that it has where none are given. Returns how many.
local function release_locks(holder, entries)
  local all = redis.call('HKEYS', P .. 'held:' .. holder)
  entries = entries or all
  if #entries == 0 then return 0 end
  for _, entry in ipairs(entries) do
    redis.call('ZREM', P .. 'locks', entry)
    redis.call('HDEL', P .. 'held:' .. holder, entry)
  end
  offer_locks(entries)
  return #entries
end

-- A task that waited as ready, maybe for a lock, is ready no longer.
local function leave_ready(id, to, writes, reads, drop)
  local f = get(id, 'parked', 'offered', 'parked_at', 'reserved_until')
  if to == 'running' then take_locks(id, wants_of(writes, reads)) end
  if not f[3] then return end
  if f[1] then leave_queue(id, f[1]) end
  redis.call('ZREM', P .. 'parked', id)
  if f[4] then
    redis.call('HDEL', P .. 'task:' .. id, 'reserved_until')
    redis.call('ZREM', P .. 'lock_ends', '~' .. id)
    redis.call('SREM', P .. 'reserving', id)
    release_locks('~' .. id)
  end
  if f[2] then offer_queue(f[2]) end
  append(drop, 'parked', 'parked_at', 'offered', 'overtaken')
end
