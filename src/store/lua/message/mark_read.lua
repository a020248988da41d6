-- The reader of a box has heard in another way how tasks ended, by waiting for them: what tells of that is not told again, as
-- far as it is next to be read.
-- KEYS: 1 prefix
-- ARGV: 1 box, 2 reader ('task', 'master' or 'person'), 3... ids of tasks
-- Returns: how many messages are read by this
local box, reader, marks, list = ARGV[1], ARGV[2], P .. 'marks:' .. ARGV[1], P .. 'messages:' .. ARGV[1]
local heard = {}
for i = 3, #ARGV do heard[ARGV[i]] = true end
local m = redis.call('HMGET', marks, 'count', 'read:' .. reader)
local count, read = number(m[1]), number(m[2])
local before_first = count - redis.call('LLEN', list)
-- What was dropped unread is told of to who reads next (message/read.lua).
if read < before_first then return 0 end
local to = read
while to < count do
  local message = decoded(redis.call('LINDEX', list, to - before_first) or '')
  local id = tostring(message.task or '')
  -- Others of orch's about a task begin with other words (settle, fail_unread).
  local tells_its_end = message.from == 'orch' and string.sub(tostring(message.text or ''), 1, #id + 1) == id .. ' '
  if not (heard[id] and tells_its_end) then break end
  to = to + 1
end
if to <= read then return 0 end
redis.call('HSET', marks, 'read:' .. reader, to)
redis.call('PUBLISH', P .. 'news:' .. box, 'read')
return to - read
