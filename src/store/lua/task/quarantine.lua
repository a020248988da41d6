-- Quarantines a damaged task: what was stored is kept as `quarantine:<id>`, and replaced by a dead letter with the
-- fields that could be read. So it blocks no other task, and a person finds it like any other dead letter.
-- KEYS: 1 prefix
-- ARGV: 1 id, 2 why, 3 the role whose queue it was found in or '', 4... the fields of the new record, each followed by its
--       value: none where the id is none
-- Returns: the state afterwards, '' where nothing is left of it
local id, reason, queue = ARGV[1], 'its record is damaged: ' .. ARGV[2], ARGV[3]
local record, kept = P .. 'task:' .. id, P .. 'quarantine:' .. id
redis.call('ZREM', P .. 'ready:' .. queue, id)
if queue ~= '' then mistrust_turns(queue) end
-- In a repeated call the quarantined record must not be overwritten by its replacement.
local stands = get(id, 'state', 'code')
if redis.call('EXISTS', kept) == 1 and is_sound(id) and stands[2] == CODE.record_damaged then
  return stands[1]
end
local from
for _, state in ipairs({'blocked', 'ready', 'delayed', 'held', 'running', 'succeeded', 'failed', 'cancelled', 'skipped'}) do
  if redis.call('ZSCORE', P .. 'state:' .. state, id) then from = state end
end
event(EVENT.task_damaged, id, nil, nil, nil, reason)
redis.call('ZREM', P .. 'deadlines', id)
-- By what is left of its record; what waits for a lock is offered again.
leave_ready(id, 'failed', nil, nil, {})
redis.call('ZREM', P .. 'parked', id)
for _, plan in ipairs(redis.call('SMEMBERS', P .. 'short_plans')) do
  if redis.call('ZSCORE', P .. 'short:' .. plan, id) then leave_short(id, plan) end
end
redis.call('SREM', P .. 'reserving', id)
if redis.call('EXISTS', record) == 1 then redis.call('RENAME', record, kept) end
if #ARGV < 5 or not from then
  redis.call('ZREM', P .. 'tasks', id)
  redis.call('ZREM', P .. 'ids', id)
  redis.call('ZREM', P .. 'asking', id)
  redis.call('DEL', P .. 'trail:' .. id)
  if from then redis.call('ZREM', P .. 'state:' .. from, id) end
  return ''
end

for _, list in ipairs({P .. 'attempts:' .. id, P .. 'children:' .. id}) do
  if redis.call('TYPE', list).ok ~= 'list' then redis.call('DEL', list) end
end
redis.call('HSET', record, unpack(ARGV, 4))
-- Its plan counts it.
local plan = redis.pcall('HMGET', kept, 'plan', 'plan_key')
if type(plan[1]) == 'string' then redis.call('HSET', record, 'plan', plan[1], 'plan_key', plan[2] or '') end
-- What its attempt has reserved is taken back below.
local reserves = redis.pcall('HGET', kept, 'reserves')
if type(reserves) == 'string' then redis.call('HSET', record, 'reserves', reserves) end
-- Damage is no approval.
if redis.pcall('HGET', kept, 'unapproved') == '1' then redis.call('HSET', record, 'unapproved', '1') end
close_questions(id, reason)
redis.call('HSET', record, 'state', from, 'since', now, 'number', redis.call('LLEN', P .. 'attempts:' .. id))
local fence = last_attempt(id).fence
if fence then redis.call('HSET', record, 'fence', fence) end
local seq = redis.call('ZSCORE', P .. 'tasks', id)
if seq then redis.call('HSET', record, 'seq', seq) else redis.call('ZADD', P .. 'tasks', get(id, 'seq')[1], id) end
if not OPEN[from] then
  redis.call('HSET', record, 'ended_at', now, 'code', CODE.record_damaged, 'reason', reason)
  redis.call('ZADD', P .. 'state:' .. from, now, id)
  return from
end
redis.call('HSET', record, 'cause', CAUSE.permanent, 'code', CODE.record_damaged, 'reason', reason)
local role, agent = get(id, 'role')[1], nil
if from == 'running' then
  local attempt = last_attempt(id)
  agent = attempt.agent
  if attempt.number and not attempt.ended_at then
    attempt.ended_at, attempt.cause, attempt.code = now, CAUSE.permanent, CODE.record_damaged
    attempt.reason, attempt.next = reason, 'failed'
    redis.call('LSET', P .. 'attempts:' .. id, -1, cjson.encode(attempt))
  end
  local a = redis.pcall('HMGET', P .. 'agent:' .. (agent or ''), 'state', 'task', 'role')
  if a[2] == id then
    redis.call('HDEL', P .. 'agent:' .. agent, 'task', 'attempt', 'fence', 'deadline', unpack(WAIT))
    redis.call('SREM', P .. 'running:' .. a[3], id)
    redis.call('ZREM', P .. 'waiting:' .. a[3], id)
    if a[1] == 'busy' then move_agent(agent, 'busy', 'idle', a[3], id, id .. ' was set aside') end
  end
end
move(id, from, 'failed', role, nil, agent, reason, nil, CODE.record_damaged)
if from == 'running' then
  recount_reserved()
  mistrust_turns(role)
end
return 'failed'
