-- What a step has made of a namespace.
-- KEYS: 1 prefix
-- ARGV: 1 the node it began at, 2 under which name to keep what it has come to
-- Returns: {events}, and each other key that has changed, with its type and what stands there, or with 'gone'
local events = {}
for _, row in ipairs(redis.call('XRANGE', KEYS[1] .. 'events', '-', '+')) do events[#events + 1] = row[2] end
redis.call('DEL', KEYS[1] .. 'events')

local keys = {}
for _, key in ipairs(redis.call('KEYS', KEYS[1] .. '*')) do
  -- The lists of events go with the events.
  if string.find(key, KEYS[1] .. 'trail:', 1, true) == 1 then redis.call('DEL', key) else keys[#keys + 1] = key end
end
table.sort(keys)
local packed = {}
for _, key in ipairs(keys) do
  packed[#packed + 1] = key
  packed[#packed + 1] = redis.call('DUMP', key)
end
packed = cmsgpack.pack(packed)
local seen, node = {events}, redis.call('HGET', 'search', 'node:' .. ARGV[1])
if packed == node then return seen end
redis.call('HDEL', 'search', 'untouched')
redis.call('HSET', 'search', 'node:' .. ARGV[2], packed)

local was, is = {}, cmsgpack.unpack(packed)
local before = node and cmsgpack.unpack(node) or {}
for i = 1, #before, 2 do was[before[i]] = before[i + 1] end
local function told(key, kind, content)
  table.insert(content, 1, string.sub(key, #KEYS[1] + 1))
  table.insert(content, 2, kind)
  seen[#seen + 1] = content
end
for i = 1, #is, 2 do
  local key = is[i]
  if was[key] ~= is[i + 1] then
    local kind = redis.call('TYPE', key).ok
    if kind == 'hash' then
      told(key, kind, redis.call('HGETALL', key))
    elseif kind == 'list' then
      told(key, kind, redis.call('LRANGE', key, 0, -1))
    elseif kind == 'set' then
      told(key, kind, redis.call('SMEMBERS', key))
    elseif kind == 'zset' then
      told(key, kind, redis.call('ZRANGE', key, 0, -1, 'WITHSCORES'))
    else
      told(key, kind, {redis.call('GET', key)})
    end
  end
  was[key] = nil
end
for key in pairs(was) do told(key, 'gone', {}) end
return seen
