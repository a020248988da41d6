-- Makes delayed tasks ready whose time has come.
-- KEYS: 1 prefix
-- ARGV: 1 how many at most
-- Returns: {how many, ms until the next one is due or ''}
local ids = redis.call('ZRANGEBYSCORE', P .. 'state:delayed', '-inf', now, 'LIMIT', 0, ARGV[1])
for _, id in ipairs(ids) do
  local f = get(id, 'role', 'number')
  move(id, 'delayed', 'ready', f[1], nil, nil, 'its delay is over: attempt ' .. (f[2] + 1) .. ' may start')
end
local next_one = redis.call('ZRANGE', P .. 'state:delayed', 0, 0, 'WITHSCORES')
if next_one[2] then return {#ids, tostring(math.max(0, next_one[2] - now))} end
return {#ids, ''}
