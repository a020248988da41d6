-- What a step has made of a namespace.
-- KEYS: 1 prefix
-- ARGV: 1 the node it began at, 2 under which name to keep what it has come to
-- Returns: {events}, and, if anything else has changed, each key with its type and what stands there
local events = {}
for _, row in ipairs(redis.call('XRANGE', KEYS[1] .. 'events', '-', '+')) do events[#events + 1] = row[2] end
redis.call('DEL', KEYS[1] .. 'events')

local keys = redis.call('KEYS', KEYS[1] .. '*')
table.sort(keys)
local packed = {}
for _, key in ipairs(keys) do
  packed[#packed + 1] = key
  packed[#packed + 1] = redis.call('DUMP', key)
end
packed = cmsgpack.pack(packed)
if packed == redis.call('HGET', 'search', 'node:' .. ARGV[1]) then return {events} end
redis.call('HDEL', 'search', 'untouched')
redis.call('HSET', 'search', 'node:' .. ARGV[2], packed)

local seen = {events}
for _, key in ipairs(keys) do
  local kind, content = redis.call('TYPE', key).ok, nil
  if kind == 'hash' then
    content = redis.call('HGETALL', key)
  elseif kind == 'list' then
    content = redis.call('LRANGE', key, 0, -1)
  elseif kind == 'set' then
    content = redis.call('SMEMBERS', key)
  elseif kind == 'zset' then
    content = redis.call('ZRANGE', key, 0, -1, 'WITHSCORES')
  else
    content = {redis.call('GET', key)}
  end
  table.insert(content, 1, string.sub(key, #KEYS[1] + 1))
  table.insert(content, 2, kind)
  seen[#seen + 1] = content
end
return seen
