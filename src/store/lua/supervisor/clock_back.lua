-- Redis's clock was set back: what is due by it, and what was seen by it, moves back as well. Otherwise a delayed task
-- would wait longer, and a hung agent be detected later, by that much.
-- KEYS: 1 prefix
-- ARGV: 1 by how much (ms), 2 when the old clock was last seen (ms, by the old clock), 3 token (the same jump sent
--       again is one jump), 4 reason, 5... roles
-- Returns: how many delayed tasks were moved
if not redis.call('SET', P .. 'jumped:' .. ARGV[3], '1', 'NX', 'PX', 3600000) then return 0 end
local by = tonumber(ARGV[1])

-- A score that lies so far ahead is of the old clock; if it should be of the new one, it still lies ahead afterwards.
local function move_scores(zset, field)
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', zset, now + by, '+inf')) do
    local score = redis.call('ZINCRBY', zset, -by, id)
    if field then redis.call('HSET', P .. 'task:' .. id, field, score) end
    if tonumber(get(id, 'since')[1]) > now then redis.call('HSET', P .. 'task:' .. id, 'since', now) end
  end
end

-- What was delayed since the jump has its due time by the new clock already.
local moved, seen = 0, ARGV[2] - by
for _, id in ipairs(redis.call('ZRANGE', P .. 'state:delayed', 0, -1)) do
  local since = tonumber(get(id, 'since')[1])
  if since < seen or since > now then
    local due = redis.call('ZINCRBY', P .. 'state:delayed', -by, id)
    redis.call('HSET', P .. 'task:' .. id, 'due_at', due, 'since', math.min(since, now))
    moved = moved + 1
  end
end
move_scores(P .. 'state:running')
move_scores(P .. 'approval_ends')
for _, id in ipairs(redis.call('ZRANGE', P .. 'deadlines', 0, -1)) do
  local f = get(id, 'deadline_at', 'deadline_ms')
  local began = number(f[1]) - number(f[2])
  if began < seen or began > now then set_deadline(id, number(f[1]) - by) end
end
local function move_field(key, field)
  local till = tonumber(redis.call('HGET', key, field) or '0')
  if till > now + by then redis.call('HSET', key, field, till - by) end
end
move_field(P .. 'epoch', 'settling_until')
local moved_accounts = {}
for i = 5, #ARGV do
  local account = redis.call('HGET', P .. 'budgets', 'account:' .. ARGV[i]) or 'role ' .. ARGV[i]
  if not moved_accounts[account] then move_field(P .. 'rate:' .. account, 'until') end
  moved_accounts[account] = true
  move_field(P .. 'breaker:' .. ARGV[i], 'until')
  move_scores(P .. 'waiting:' .. ARGV[i], 'waiting_until')
  -- What was accepted by the old clock stays before what is accepted from now on.
  mistrust_turns(ARGV[i])
  for _, id in ipairs(redis.call('ZRANGE', P .. 'ready:' .. ARGV[i], 0, -1)) do
    local f = get(id, 'created_at', 'place')
    local place = tonumber(f[2] or '')
    if place and number(f[1]) > now then
      place = string.format('%.0f', place - by * 1000)
      redis.call('ZADD', P .. 'ready:' .. ARGV[i], place, id)
      redis.call('HSET', P .. 'task:' .. id, 'place', place)
    end
  end
end
for _, holder in ipairs(redis.call('ZRANGEBYSCORE', P .. 'lock_ends', now + by, '+inf')) do
  local till = redis.call('ZINCRBY', P .. 'lock_ends', -by, holder)
  if string.sub(holder, 1, 1) == '~' then
    redis.call('HSET', P .. 'task:' .. string.sub(holder, 2), 'reserved_until', till)
  else
    redis.call('HSET', P .. 'lock:' .. holder, 'until', till)
  end
end
for _, id in ipairs(redis.call('ZRANGE', P .. 'parked', 0, -1)) do
  local f = get(id, 'created_at', 'place', 'parked', 'parked_at')
  local place = tonumber(f[2] or '')
  if place and number(f[1]) > now then
    place = string.format('%.0f', place - by * 1000)
    redis.call('HSET', P .. 'task:' .. id, 'place', place)
    if f[3] then redis.call('ZADD', P .. 'parked:' .. string.match(f[3], '\1(.*)$'), 'XX', place, id) end
  end
  if number(f[4]) > now then
    redis.call('HSET', P .. 'task:' .. id, 'parked_at', now)
    redis.call('ZADD', P .. 'parked', now, id)
  end
end
for _, plan in ipairs(redis.call('SMEMBERS', P .. 'short_plans')) do
  for _, id in ipairs(redis.call('ZRANGE', P .. 'short:' .. plan, 0, -1)) do
    local f = get(id, 'created_at', 'place')
    local place = tonumber(f[2] or '')
    if place and number(f[1]) > now then
      place = string.format('%.0f', place - by * 1000)
      redis.call('HSET', P .. 'task:' .. id, 'place', place)
      redis.call('ZADD', P .. 'short:' .. plan, 'XX', place, id)
    end
  end
end
-- No agent was seen later than now: the silence of an agent is counted from now on.
for _, agent in ipairs(redis.call('SMEMBERS', P .. 'agents')) do
  local record = P .. 'agent:' .. agent
  -- What was claimed since the jump has its deadline by the new clock already.
  local of = redis.call('HMGET', record, 'deadline', 'since')
  local deadline, claimed_at = tonumber(of[1] or ''), number(of[2])
  if deadline and (claimed_at < seen or claimed_at > now) then
    redis.call('HSET', record, 'deadline', string.format('%.0f', deadline - by))
  end
  for _, field in ipairs({'started_at', 'since', 'heartbeat_at', 'progress_at', 'needs_since',
    'retrying_since'}) do
    if tonumber(redis.call('HGET', record, field) or '0') > now then redis.call('HSET', record, field, now) end
  end
end
event(EVENT.clock_back, nil, nil, nil, nil, ARGV[4])
wake('supervisor')
return moved
