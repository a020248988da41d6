-- A program waits for tasks from within its own attempt: until the given time its task occupies no slot of its role.
-- Renewed while it waits, so that a waiter that dies does not leave the mark behind.
-- KEYS: 1 prefix
-- ARGV: 1 task, 2 fence, 3 incarnation, 4 for how long (ms; 0 ends it), 5... what it waits for
-- Returns: 'ok'
-- Refuses: stale; ancestor (it would wait for itself, or for what waits for it)
local id = ARGV[1]
local f = get(id, 'state', 'fence', 'incarnation', 'role', 'waiting_until', 'agent', 'share', 'slot_at')
if f[1] ~= 'running' or f[2] ~= ARGV[2] or f[3] ~= ARGV[3] or not f[4] then return refuse(REFUSAL.stale, id) end
local ancestors, ancestor = {}, id
while ancestor and ancestor ~= '' do
  ancestors[ancestor] = true
  ancestor = get(ancestor, 'parent')[1]
end
local asked, seen = {}, {}
for i = 5, #ARGV do asked[#asked + 1] = ARGV[i] end
local next_one = 1
while asked[next_one] do
  local what = asked[next_one]
  if ancestors[what] then return refuse(REFUSAL.ancestor, what) end
  if not seen[what] then
    seen[what] = true
    for _, dependency in ipairs(redis.call('SMEMBERS', P .. 'deps:' .. what)) do asked[#asked + 1] = dependency end
  end
  next_one = next_one + 1
end
local for_ms, was = tonumber(ARGV[4]), number(f[5]) > now
if for_ms > 0 then
  redis.call('ZADD', P .. 'waiting:' .. f[4], now + for_ms, id)
  redis.call('HSET', P .. 'task:' .. id, 'waiting_until', now + for_ms)
  if f[8] then
    give_slot(f[4], f[7] or '-', number(f[8]))
    redis.call('HDEL', P .. 'task:' .. id, 'slot_at')
  end
  if not was then
    event(EVENT.task_waiting, id, f[6], 'running', 'running', 'waits for ' .. (#ARGV - 4) .. ' of its subtasks')
    if redis.call('ZCARD', P .. 'ready:' .. f[4]) > 0 then wake_role(f[4]) end
    offer_to_waiting()
    wake('supervisor')
  end
else
  redis.call('ZREM', P .. 'waiting:' .. f[4], id)
  redis.call('HDEL', P .. 'task:' .. id, 'waiting_until')
  if not f[8] then
    take_slot(f[4], f[7] or '-')
    redis.call('HSET', P .. 'task:' .. id, 'slot_at', now)
  end
  if was then event(EVENT.task_resumed, id, f[6], 'running', 'running', 'what it waited for has ended') end
end
return 'ok'
