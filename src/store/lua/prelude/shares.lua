-- Part of the prelude of every transition: fair shares of the slots of a role.
--
-- Every task belongs to a *share*: that of its topmost task, if it is a subtask; else its plan; else '-', which all other
-- tasks have together. The ready tasks of a role stand in `ready:<role>` by their places, and a second time in
-- `queue:<role>:<priority>:<share>`. `turns:<role>:<priority>` has the shares that have such a task, by a score: the share whose
-- running tasks occupy the fewest slots for its weight comes first, and among equals the one that has used less (stride
-- scheduling, with the time of slots as the currency). So a claim looks at the first share of each priority and the first task of
-- its queue, however many tasks and shares there are.
--
-- `shares:<role>` has, for each share that has a ready or running task, `busy:<share>`: how many of its tasks occupy a slot;
-- `used:<share>`: for how many milliseconds its tasks have occupied slots, divided by its weight; `waits:<share>`: the priorities
-- of its ready tasks; `last:<share>`: the priority of the task that it started last. `floor` is the highest `used` of a share that
-- has taken a slot: one that comes anew begins there. `queued` is the number of ready tasks in the queues; where it is not that of
-- `ready:<role>`, such as after a release that had no shares, or where `mistrusted` is set, the next claim builds all of this again.

local PRIORITIES = {'high', 'normal', 'low'}

-- How many milliseconds of use weigh as much as one slot: more than any share uses.
local PER_SLOT = 1e11

-- Among shares with equally many slots, a share is at most this much (ms) before or behind the one that took the last slot: what
-- happened long ago must not decide who waits now.
local USE_REMEMBERED = 900000

-- The share of a new task as its record has it: none for the share that all others have.
local function share_of(spec)
  if spec.parent then return get(spec.parent, 'share')[1] or spec.parent end
  return spec.plan
end

-- Only plans have a weight.
local function weight_of(share)
  local weight = string.sub(share, 1, 2) == 'p-' and redis.call('HGET', P .. 'weights', share)
  return math.max(1, number(weight or '1'))
end

local function turns_of(role, priority)
  return P .. 'turns:' .. role .. ':' .. priority
end

local function queue_of(role, priority, share)
  return P .. 'queue:' .. role .. ':' .. priority .. ':' .. share
end

local function score_of(share, busy, used)
  return string.format('%.0f', busy / weight_of(share) * PER_SLOT + used)
end

local function read_share(role, share)
  local f = redis.call('HMGET', P .. 'shares:' .. role, 'busy:' .. share, 'used:' .. share, 'waits:' .. share, 'floor')
  local floor = number(f[4])
  return {busy = math.max(0, number(f[1])), used = f[2] and number(f[2]) or floor, waits = f[3] or '', floor = floor}
end

-- Records a share, and with it its turn. One without tasks is forgotten. `last` is the priority of the task that it starts, if it
-- does.
local function write_share(role, share, s, last)
  local key = P .. 'shares:' .. role
  if s.waits == '' and s.busy == 0 then
    redis.call('HDEL', key, 'busy:' .. share, 'used:' .. share, 'waits:' .. share, 'last:' .. share)
    return
  end
  s.used = math.floor(s.used + 0.5)
  local score = score_of(share, s.busy, s.used)
  for priority in string.gmatch(s.waits, '%S+') do redis.call('ZADD', turns_of(role, priority), score, share) end
  local set = {'busy:' .. share, s.busy, 'used:' .. share, string.format('%.0f', s.used), 'waits:' .. share, s.waits, 'floor',
    string.format('%.0f', s.floor)}
  if last then append(set, 'last:' .. share, last) end
  redis.call('HSET', key, unpack(set))
end

-- A task of this share occupies a slot from now on: the caller records `slot_at`. It starts if its priority is given.
local function take_slot(role, share, priority)
  local s = read_share(role, share)
  s.used = math.max(s.used, s.floor - USE_REMEMBERED)
  s.floor, s.busy = math.max(s.used, s.floor), s.busy + 1
  write_share(role, share, s, priority)
end

-- A task of this share has occupied a slot since `slot_at`, and does no longer: the caller removes that field.
local function give_slot(role, share, slot_at)
  local s = read_share(role, share)
  local used = s.used + math.max(1, now - slot_at) / weight_of(share)
  s.used, s.busy = math.min(used, math.max(s.used, s.floor + USE_REMEMBERED)), math.max(0, s.busy - 1)
  write_share(role, share, s)
end

-- Makes the next claim of the role build queues and turns again.
local function mistrust_turns(role)
  redis.call('HSET', P .. 'shares:' .. role, 'mistrusted', 1)
end

local function queue_up(id, role, place, priority, share)
  redis.call('ZADD', queue_of(role, priority, share), place, id)
  redis.call('HINCRBY', P .. 'shares:' .. role, 'queued', 1)
  if not redis.call('ZSCORE', turns_of(role, priority), share) then
    local s = read_share(role, share)
    s.waits = s.waits .. ' ' .. priority
    write_share(role, share, s)
  end
end

-- The priority and the share by which a task is queued, as its record has them or as they are given.
local function terms_of_turn(id, priority, share)
  if not priority then
    local f = get(id, 'priority', 'share')
    priority, share = f[1], f[2]
  end
  return RANK[priority or ''] and priority or 'normal', share or '-'
end

-- A task joins the ready ones of its role.
local function join_ready(id, role)
  local place = string.format('%.0f', place_in(id))
  redis.call('ZADD', P .. 'ready:' .. role, place, id)
  queue_up(id, role, place, terms_of_turn(id))
end

-- A task is no longer among the ready ones of its role, if it was: it may be parked. `its_priority` and `its_share` are those
-- fields of its record, where the caller has read them.
local function quit_ready(id, role, its_priority, its_share)
  if redis.call('ZREM', P .. 'ready:' .. role, id) == 0 then return end
  local priority, share = terms_of_turn(id, its_priority, its_share)
  local queue = queue_of(role, priority, share)
  -- It is queued by other terms than those of its record, which has been damaged.
  if redis.call('ZREM', queue, id) == 0 then return mistrust_turns(role) end
  redis.call('HINCRBY', P .. 'shares:' .. role, 'queued', -1)
  if redis.call('EXISTS', queue) == 0 then
    redis.call('ZREM', turns_of(role, priority), share)
    local s = read_share(role, share)
    s.waits = string.gsub(s.waits, ' ' .. priority, '')
    write_share(role, share, s)
  end
end

-- Builds the queues and turns of a role again, from its ready and running tasks.
local function rebuild_turns(role)
  for _, priority in ipairs(PRIORITIES) do
    for _, share in ipairs(redis.call('ZRANGE', turns_of(role, priority), 0, -1)) do
      redis.call('DEL', queue_of(role, priority, share))
    end
    redis.call('DEL', turns_of(role, priority))
  end
  local key = P .. 'shares:' .. role
  local floor = redis.call('HGET', key, 'floor')
  redis.call('DEL', key)
  if floor then redis.call('HSET', key, 'floor', floor) end
  for _, id in ipairs(redis.call('SMEMBERS', P .. 'running:' .. role)) do
    local f = get(id, 'share', 'slot_at')
    if f[2] then redis.call('HINCRBY', key, 'busy:' .. (f[1] or '-'), 1) end
  end
  local ready = redis.call('ZRANGE', P .. 'ready:' .. role, 0, -1, 'WITHSCORES')
  for i = 1, #ready, 2 do queue_up(ready[i], role, ready[i + 1], terms_of_turn(ready[i])) end
end

-- The priority of the ready task with the lowest place, if it is as urgent as one of high priority that is accepted now; else ''.
local function aged_priority(ready, micros)
  local oldest = redis.call('ZRANGE', ready, 0, 0, 'WITHSCORES')
  return tonumber(oldest[2]) <= micros and terms_of_turn(oldest[1]) or ''
end

-- The ready task of a role that starts next; nil where there is none. Of the highest priority that waits, the first share's
-- first one. A lower priority is weighed against it once its task is as urgent as one of high priority that is accepted now
-- (`place_of`): the share with fewer slots for its weight goes first, and within one share the lower place; but of two starts of a
-- share, one is of the lower priority.
local function next_in_turn(role)
  local ready = P .. 'ready:' .. role
  local f = redis.call('HMGET', P .. 'shares:' .. role, 'queued', 'mistrusted')
  if f[2] or number(f[1]) ~= redis.call('ZCARD', ready) then rebuild_turns(role) end
  local micros, aged = now * 1000 + clock[2] % 1000, nil
  local first, first_score, first_place, first_share, first_priority
  for _, priority in ipairs(PRIORITIES) do
    local turn = redis.call('ZRANGE', turns_of(role, priority), 0, 0, 'WITHSCORES')
    if turn[1] then
      local head = redis.call('ZRANGE', queue_of(role, priority, turn[1]), 0, 0, 'WITHSCORES')
      -- Nothing that orch writes leaves a share without a queue.
      if not head[1] then
        rebuild_turns(role)
        return next_in_turn(role)
      end
      local score, place = tonumber(turn[2]), tonumber(head[2])
      local counts = not first or place <= micros
      if not counts then
        aged = aged or aged_priority(ready, micros)
        counts = aged == priority
      end
      local goes_first = not first or score < first_score or score == first_score and place < first_place
      if counts and not goes_first and turn[1] == first_share then
        goes_first = redis.call('HGET', P .. 'shares:' .. role, 'last:' .. first_share) == first_priority
      end
      if counts and goes_first then
        first, first_score, first_place, first_share, first_priority = head[1], score, place, turn[1], priority
      end
    end
  end
  return first
end
