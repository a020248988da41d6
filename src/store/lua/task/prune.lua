-- Forgets tasks that ended long ago. Dead letters stay until a person retries them; so does what an open task still
-- refers to (its parent, its dependency).
-- KEYS: 1 prefix
-- ARGV: 1 older than (ms), 2 how many at most
-- Returns: the ids that were forgotten
local gone, at_most = {}, tonumber(ARGV[2])
-- How many tasks that must stay one call passes over at most: Redis serves no other client meanwhile.
local PASSED_OVER = 10000

local function is_open(id)
  return OPEN[get(id, 'state')[1]]
end

local function is_needed(id, parent, open_children)
  if number(open_children) > 0 or (parent and is_open(parent)) then return true end
  for _, dependent in ipairs(redis.pcall('SMEMBERS', P .. 'dependents:' .. id)) do
    if is_open(dependent) then return true end
  end
  return false
end

for _, state in ipairs({'succeeded', 'cancelled'}) do
  local kept, ids = 0, nil
  repeat
    ids = redis.call('ZRANGEBYSCORE', P .. 'state:' .. state, '-inf', now - ARGV[1], 'LIMIT', kept, at_most - #gone)
    for _, id in ipairs(ids) do
      local f = get(id, 'key', 'parent', 'open_children', 'after')
      if is_needed(id, f[2], f[3]) then
        kept = kept + 1
      else
        redis.call('DEL', P .. 'task:' .. id, P .. 'attempts:' .. id, P .. 'children:' .. id, P .. 'deps:' .. id,
          P .. 'dependents:' .. id, P .. 'quarantine:' .. id, P .. 'questions:' .. id, P .. 'messages:' .. id,
          P .. 'marks:' .. id)
        redis.call('ZREM', P .. 'state:' .. state, id)
        redis.call('ZREM', P .. 'tasks', id)
        if f[1] and redis.call('GET', P .. 'key:' .. f[1]) == id then redis.call('DEL', P .. 'key:' .. f[1]) end
        if f[2] then redis.call('LREM', P .. 'children:' .. f[2], 1, id) end
        local reads, after = pcall(cjson.decode, f[4] or '[]')
        for _, dependency in ipairs(reads and type(after) == 'table' and after or {}) do
          redis.call('SREM', P .. 'dependents:' .. dependency, id)
        end
        gone[#gone + 1] = id
      end
    end
  until #ids == 0 or #gone >= at_most or kept >= PASSED_OVER
end
return gone
