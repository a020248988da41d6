-- Makes a namespace what it was at a node.
-- KEYS: 1 prefix
-- ARGV: 1 node
-- Returns: 'ok'
if redis.call('HGET', 'search', 'untouched') == ARGV[1] then return 'ok' end
for _, key in ipairs(redis.call('KEYS', KEYS[1] .. '*')) do redis.call('DEL', key) end
local packed = cmsgpack.unpack(redis.call('HGET', 'search', 'node:' .. ARGV[1]))
for i = 1, #packed, 2 do redis.call('RESTORE', packed[i], 0, packed[i + 1]) end
redis.call('HSET', 'search', 'untouched', ARGV[1])
return 'ok'
