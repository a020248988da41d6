-- Ends the tasks whose deadline has passed. The runner of one that runs does so itself.
-- KEYS: 1 prefix
-- ARGV: 1 how many at most
-- Returns: {how many were ended, ids of damaged ones, to be quarantined}
local count, damaged = 0, {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', P .. 'deadlines', '-inf', now, 'LIMIT', 0, ARGV[1])) do
  local f = get(id, 'state', 'role', 'deadline_at')
  local deadline = tonumber(f[3] or '')
  if not OPEN[f[1] or ''] or not deadline then
    redis.call('ZREM', P .. 'deadlines', id)
  elseif deadline > now then
    redis.call('ZADD', P .. 'deadlines', f[3], id)
  elseif f[1] == 'running' then
    -- Looked at again in a minute. However its attempt ends, there is no other one.
    redis.call('ZADD', P .. 'deadlines', now + 60000, id)
  elseif not is_sound(id) then
    damaged[#damaged + 1] = id
  else
    local reason = DEADLINE_PASSED .. '; it was ' .. f[1]
    redis.call('HSET', P .. 'task:' .. id, 'cause', CAUSE.deadline, 'code', CODE.deadline_passed, 'reason', reason)
    move(id, f[1], 'failed', f[2], nil, nil, reason, nil, CODE.deadline_passed)
    count = count + 1
  end
end
return {count, damaged}
