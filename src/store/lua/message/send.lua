-- Sends a message to a task, to the task that an agent is at, or to the master. Sent again, it is one message.
-- KEYS: 1 prefix
-- ARGV: 1 task or agent, 2 the message's id, 3 text, 4 the sender in words, 5 the sender's task or '', 6 its fence,
--       7 its incarnation, 8 the box that gets a message if this one is not read, or '', 9 the master's agent
-- Returns: {the box it went to, 'unconfirmed' 'delivered' or 'failed'}
-- Refuses: stale (the sender's attempt is over), unknown, ended (it reads nothing any more), idle (an agent without a
--          task), full
local to, sent = ARGV[1], P .. 'sent:' .. ARGV[2]
local known = redis.call('GET', sent)
if known then
  local m, state = redis.call('HMGET', P .. 'marks:' .. known, 'read:task', 'read:master', 'read:person'), 'unconfirmed'
  for _, text in ipairs(redis.call('LRANGE', P .. 'messages:' .. known, 0, -1)) do
    local message = decoded(text)
    if message.id == ARGV[2] then
      local read = math.max(number(m[1]), number(m[2]), number(m[3]))
      state = message.failed and 'failed' or read >= message.n and 'delivered' or state
    end
  end
  return {known, state}
end
if ARGV[5] ~= '' then
  local f = get(ARGV[5], 'state', 'fence', 'incarnation')
  if f[1] ~= 'running' or f[2] ~= ARGV[6] or f[3] ~= ARGV[7] then return refuse(REFUSAL.stale, ARGV[5]) end
end
if to == 'master' then to = ARGV[9] end
local box, state = to, get(to, 'state')[1]
if not state and to ~= ARGV[9] then
  local a = redis.call('HMGET', P .. 'agent:' .. to, 'state', 'task')
  if not a[1] then return refuse(REFUSAL.unknown, to) end
  if a[1] == 'failed' or a[1] == 'stopped' then return refuse(REFUSAL.ended, to) end
  if not a[2] then return refuse(REFUSAL.idle, to) end
  box, state = a[2], get(a[2], 'state')[1]
end
if state and not OPEN[state] then return refuse(REFUSAL.ended, box) end
local m = redis.call('HMGET', P .. 'marks:' .. box, 'count', 'read:task')
-- The master's box is never full: it keeps the last messages, read or not.
if state and number(m[1]) - number(m[2]) >= BOX then return refuse(REFUSAL.full, box) end

local message = {id = ARGV[2], from = ARGV[4], text = ARGV[3]}
if ARGV[5] ~= '' then message.task = ARGV[5] end
if ARGV[8] ~= '' then message.reply_to = ARGV[8] end
post(box, message)
redis.call('SET', sent, box, 'PX', 3600000)
event(EVENT.message_sent, state and box or nil, nil, nil, nil, ARGV[4] .. ' wrote to ' .. box, cjson.encode({message = ARGV[2]}))
return {box, 'unconfirmed'}
