-- Forgets tasks that ended long ago. Dead letters stay until a person retries them; so does what an open task still
-- refers to (its parent, its dependency).
-- KEYS: 1 prefix
-- ARGV: 1 older than (ms), 2 how many at most
-- Returns: the ids that were forgotten
local gone = {}
for _, state in ipairs({'succeeded', 'cancelled'}) do
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', P .. 'state:' .. state, '-inf', now - ARGV[1], 'LIMIT', 0, ARGV[2])) do
    local f = get(id, 'key', 'parent', 'open_children')
    local parent = f[2] and get(f[2], 'state')[1]
    if tonumber(f[3] or '0') <= 0 and not (parent and OPEN[parent]) then
      redis.call('DEL', P .. 'task:' .. id, P .. 'attempts:' .. id, P .. 'children:' .. id, P .. 'deps:' .. id,
        P .. 'dependents:' .. id)
      redis.call('ZREM', P .. 'state:' .. state, id)
      redis.call('ZREM', P .. 'tasks', id)
      if f[1] and redis.call('GET', P .. 'key:' .. f[1]) == id then redis.call('DEL', P .. 'key:' .. f[1]) end
      gone[#gone + 1] = id
    end
  end
end
return gone
