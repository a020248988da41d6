-- The reader of a box knows how tasks ended, because it waited for them: the messages that report it are marked read, as
-- far as they are the next ones to be read.
-- KEYS: 1 prefix
-- ARGV: 1 box, 2 reader ('task', 'master' or 'person'), 3... ids of tasks and plans
-- Returns: how many messages are read by this
local box, reader, marks, list = ARGV[1], ARGV[2], P .. 'marks:' .. ARGV[1], P .. 'messages:' .. ARGV[1]
local known = {}
for i = 3, #ARGV do known[ARGV[i]] = true end
local m = redis.call('HMGET', marks, 'count', 'read:' .. reader)
local count, read = number(m[1]), number(m[2])
local before_first = count - redis.call('LLEN', list)
-- Messages that were dropped unread are reported by the next read (message/read.lua).
if read < before_first then return 0 end
local to = read
while to < count do
  local message = decoded(redis.call('LINDEX', list, to - before_first) or '')
  if not (message.tells == 'end' and known[message.task or message.plan]) then break end
  to = to + 1
end
if to <= read then return 0 end
redis.call('HSET', marks, 'read:' .. reader, to)
redis.call('PUBLISH', P .. 'news:' .. box, 'read')
return to - read
