-- Reads the messages of a box that this reader has not read yet, and marks them read. The same token reads the same.
-- KEYS: 1 prefix
-- ARGV: 1 box, 2 reader ('task', 'master' or 'person'), 3 token, 4 fence or '', 5 incarnation, 6 how many at most,
--       7 how many bytes at most, but for the first one
-- Returns: {how many are left unread, message (JSON)...}; the first one reports those that were dropped before it
-- Refuses: stale (the reading attempt is over)
local box, reader, marks = ARGV[1], ARGV[2], P .. 'marks:' .. ARGV[1]
if ARGV[4] ~= '' then
  local f = get(box, 'state', 'fence', 'incarnation', 'agent')
  if f[1] ~= 'running' or f[2] ~= ARGV[4] or f[3] ~= ARGV[5] then return refuse(REFUSAL.stale, box) end
  redis.call('HSET', P .. 'agent:' .. f[4], 'progress_at', now)
end
local list = P .. 'messages:' .. box
local m = redis.call('HMGET', marks, 'count', 'read:' .. reader, 'token:' .. reader, 'before:' .. reader,
  'dropped:' .. reader)
local count, read, again = number(m[1]), number(m[2]), m[3] == ARGV[3]
local before_first = count - redis.call('LLEN', list)
local start = again and number(m[4]) or read
local from = math.min(math.max(start, before_first), again and read or count)
local to = again and read or math.min(count, from + ARGV[6])
-- What was dropped since cannot be read any more, and is not passed over in silence: also what this reader may have been cut
-- off from in the middle of its reading.
local dropped = (again and number(m[5]) or 0) + from - start
local texts = to > from and redis.call('LRANGE', list, from - before_first, to - before_first - 1) or {}
if not again and count > read then
  local bytes = 0
  for i, text in ipairs(texts) do
    bytes = bytes + #text
    if i > 1 and bytes > tonumber(ARGV[7]) then
      to = from + i - 1
      break
    end
  end
  redis.call('HSET', marks, 'read:' .. reader, to, 'token:' .. reader, ARGV[3], 'before:' .. reader, from,
    'dropped:' .. reader, dropped)
  redis.call('PUBLISH', P .. 'news:' .. box, 'read')
end
local reply = {count - to}
if dropped > 0 then
  local what = dropped == 1 and '1 message before these was not read and is' or dropped .. ' messages before these were not read and are'
  local text = what .. ' gone: a box keeps the last ' .. BOX .. ' (orch tasks lists how tasks ended)'
  reply[2] = cjson.encode({n = from, id = 'm-' .. box .. '-' .. from .. '-dropped', from = 'orch', text = text, at = now})
end
for i = 1, to - from do reply[#reply + 1] = texts[i] end
return reply
