-- Reads the messages of a box that this reader has not read yet, and marks them read. The same token reads the same.
-- KEYS: 1 prefix
-- ARGV: 1 box, 2 reader ('task', 'master' or 'person'), 3 token, 4 fence or '', 5 incarnation, 6 how many at most
-- Returns: {how many are left unread, message (JSON)...}
-- Refuses: stale (the reading attempt is over)
local box, reader, marks = ARGV[1], ARGV[2], P .. 'marks:' .. ARGV[1]
if ARGV[4] ~= '' then
  local f = get(box, 'state', 'fence', 'incarnation', 'agent')
  if f[1] ~= 'running' or f[2] ~= ARGV[4] or f[3] ~= ARGV[5] then return refuse('stale', box) end
  redis.call('HSET', P .. 'agent:' .. f[4], 'progress_at', now)
end
local m = redis.call('HMGET', marks, 'count', 'read:' .. reader, 'token:' .. reader, 'before:' .. reader)
local count, read, before = number(m[1]), number(m[2]), number(m[2])
local before_first = count - redis.call('LLEN', P .. 'messages:' .. box)
if m[3] == ARGV[3] then
  before = number(m[4])
elseif count > read then
  -- What was dropped since cannot be read any more.
  before = math.max(read, before_first)
  read = math.min(count, before + ARGV[6])
  redis.call('HSET', marks, 'read:' .. reader, read, 'token:' .. reader, ARGV[3], 'before:' .. reader, before)
  redis.call('PUBLISH', P .. 'news:' .. box, 'read')
end
local reply = {count - read}
if read > before then
  local first = math.max(before - before_first, 0)
  for _, text in ipairs(redis.call('LRANGE', P .. 'messages:' .. box, first, read - before_first - 1)) do
    reply[#reply + 1] = text
  end
end
return reply
