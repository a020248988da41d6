-- An idle agent takes the next ready task of its role. Sent again, it answers with the task that the agent has.
-- KEYS: 1 prefix
-- ARGV: 1 agent, 2 incarnation, 3 lease (ms)
-- Returns: {} where there is nothing to take, else {id, attempt number, fence, field, value, ...}; 'questions' (JSON) where it has asked any,
-- 'has_mail' where it has unread messages, 'left_micro_usd' and 'left_tokens' (what all its attempts may still use) where that is limited
-- Refuses: stale; damaged (the first ready task can't be read: quarantine it, and claim again)
local agent, incarnation = ARGV[1], ARGV[2]
local a = redis.call('HMGET', P .. 'agent:' .. agent, 'state', 'incarnation', 'role', 'task')
if a[2] ~= incarnation or a[1] == 'failed' or a[1] == 'stopped' then return refuse(REFUSAL.stale, agent) end

local function answer(id, left)
  local reply, record = {id, false, false}, redis.call('HGETALL', P .. 'task:' .. id)
  for i = 1, #record, 2 do
    if record[i] == 'number' then reply[2] = record[i + 1] end
    if record[i] == 'fence' then reply[3] = record[i + 1] end
    if record[i] == 'deadline_at' then
      append(reply, 'time_left', string.format('%.0f', math.max(0, number(record[i + 1]) - now)))
    end
    append(reply, record[i], record[i + 1])
  end
  local questions = redis.pcall('LRANGE', P .. 'questions:' .. id, 0, -1)
  if #questions > 0 then
    reply[#reply + 1] = 'questions'
    reply[#reply + 1] = '[' .. table.concat(questions, ',') .. ']'
  end
  if unread(id) > 0 then append(reply, 'has_mail', '1') end
  for i, name in ipairs({'left_micro_usd', 'left_tokens'}) do
    if left[i] then append(reply, name, string.format('%.0f', math.max(0, left[i]))) end
  end
  return reply
end

local role = a[3]
if a[1] == 'busy' and a[4] then return answer(a[4], (left_of_task(a[4], budgets_of(role).task))) end
if a[1] ~= 'idle' then
  -- It may have taken a marker before it was asked to stop.
  offer(role)
  return {}
end
local requests = redis.call('HMGET', P .. 'requests', 'stop', 'pause', 'pause:' .. role)
if requests[1] == 'now' or requests[2] or requests[3] then return {} end
local budgets = budgets_of(role)
local till, _, _, gate = suspended(role, budgets)
if till then
  -- It is offered its tasks again when a running attempt ends.
  if not (gate == 'program_missing' or gate == 'login_needed') then redis.call('SADD', P .. 'short_of_room', role) end
  return {}
end
-- After a loss of data, living agents report first which tasks they have.
if tonumber(redis.call('HGET', P .. 'epoch', 'settling_until') or '0') > now then return {} end

local bounds = redis.call('HMGET', P .. 'limits', 'max:' .. role, 'min:' .. role, 'shortage', 'shortage_until',
  'shortage_tolerance')
local has_shortage = bounds[3] and number(bounds[4]) > now
if bounds[1] or has_shortage then
  -- Tasks that wait for their own subtasks occupy no slot: a hierarchy would deadlock otherwise.
  local taken = redis.call('SCARD', P .. 'running:' .. role) - redis.call('ZCOUNT', P .. 'waiting:' .. role, now, '+inf')
  if bounds[1] and taken >= tonumber(bounds[1]) then return {} end
  -- An agent makes room for a more urgent task of another role, unless enough idle ones do so already (src/admission).
  local head = has_shortage and redis.call('ZRANGE', P .. 'ready:' .. role, 0, 0, 'WITHSCORES')[2]
  if head then
    local before = 0
    for other, place in string.gmatch(bounds[3], '(%S+) (%d+)') do
      if other ~= role and place + bounds[5] < tonumber(head) then before = before + 1 end
    end
    local idle = redis.call('SCARD', P .. 'idle:' .. role)
    if before >= idle and idle + taken > number(bounds[2]) then
      redis.call('DEL', P .. 'wake:role:' .. role)
      wake('supervisor')
      return {}
    end
  end
end

local function first_ready()
  if not requests[1] then return next_in_turn(role) end
  -- A stop that drains: only what running tasks still wait for.
  local from = 0
  repeat
    local batch = redis.call('ZRANGE', P .. 'ready:' .. role, from, from + 199)
    for _, candidate in ipairs(batch) do
      if number(get(candidate, 'depth')[1]) > 0 then return candidate end
    end
    from = from + 200
  until #batch == 0
end

if redis.call('EXISTS', P .. 'lock_offers') == 1 then offer_further() end
local id, sound, state, its_role, attempts, timeout_ms, deadline_at, want, full, plans, expected
-- One that lacks a lock, or room in its plan's budget, is parked, and the next one is looked at; but Redis serves no other client
-- meanwhile.
local PARKED_AT_ONCE, COMPARED_AT_ONCE = 16, 500
local parked = 0
repeat
  id = first_ready()
  if not id then
    redis.call('DEL', P .. 'wake:role:' .. role)
    return {}
  end
  sound, state, its_role, attempts, timeout_ms, deadline_at = is_sound(id)
  if not sound or state ~= 'ready' or its_role ~= role then return refuse(REFUSAL.damaged, id .. ' ' .. role) end
  local f, entry, why, is_reserved = get(id, 'writes', 'reads', 'plan', 'max_parallel', 'parent'), nil, nil, nil
  want = nil
  if f[1] or f[2] or f[4] then
    local wants = wants_of(unpack(f, 1, 4))
    want, entry = lacked(id, wants)
    if want then park(id, role, wants, want, entry) end
  end
  plans = plans_of(f[3], f[5])
  expected, full, why, is_reserved = room_in_plans(plans, budgets)
  if full and not want then park_short(id, role, full, why, is_reserved) end
  parked = parked + 1
until not (want or full) or parked == PARKED_AT_ONCE or compared > COMPARED_AT_ONCE
if want or full then
  -- The agent looks again.
  if redis.call('ZCARD', P .. 'ready:' .. role) > 0 then wake_role(role) end
  return {}
end

local left, over = left_of_task(id, budgets.task)
if over then
  redis.call('HSET', P .. 'task:' .. id, 'cause', CAUSE.needs_person, 'code', CODE.over_budget, 'reason', over, 'holds', 'limit')
  notice({what = 'held', task = id, text = over})
  hand_over(id, 'is held: ' .. over .. ' (a person allows it more: ' .. ask_for_more(id, budgets.task) .. ')')
  move(id, 'ready', 'held', role, nil, nil, over, nil, CODE.over_budget)
  offer(role)
  return {}
end

count_start(budgets)
local fence = redis.call('INCR', P .. 'fence')
local number = attempts + 1
local set = {'number', number, 'agent', agent, 'incarnation', incarnation, 'fence', fence}
append(set, unpack(reserve(role, plans, expected, left)))
redis.call('RPUSH', P .. 'attempts:' .. id,
  cjson.encode({number = number, agent = agent, fence = exact(fence), started_at = now}))
move(id, 'ready', 'running', role, now + ARGV[3], agent, 'attempt ' .. number .. ' claimed by ' .. agent,
  nil, nil, set)
move_agent(agent, 'idle', 'busy', role, id, 'claimed ' .. id, nil, nil,
  {'task', id, 'attempt', number, 'fence', fence, 'heartbeat_at', now, 'progress_at', now, 'deadline', deadline_of(timeout_ms, deadline_at)})
return answer(id, left)
