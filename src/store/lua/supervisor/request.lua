-- Writes or removes a person's request, and wakes the supervisor and the agents concerned.
-- KEYS: 1 prefix
-- ARGV: 1 event kind, 2 reason, 3 value ('' takes it back), 4... fields
-- Returns: how many requests changed
local changed = 0
for i = 4, #ARGV do
  local old = redis.call('HGET', P .. 'requests', ARGV[i])
  if ARGV[3] == '' then
    changed = changed + redis.call('HDEL', P .. 'requests', ARGV[i])
  elseif old ~= ARGV[3] then
    redis.call('HSET', P .. 'requests', ARGV[i], ARGV[3])
    changed = changed + 1
  end
end
if changed > 0 then event(ARGV[1], nil, nil, nil, nil, ARGV[2]) end
-- A pause that has ended leaves ready tasks whose markers are spent: one for each idle agent that could take one.
if ARGV[3] == '' then
  for _, agent in ipairs(redis.call('SMEMBERS', P .. 'agents')) do
    local a = redis.call('HMGET', P .. 'agent:' .. agent, 'state', 'role')
    if a[1] == 'idle' and redis.call('ZCARD', P .. 'ready:' .. a[2]) > 0 then wake_role(a[2]) end
  end
end
wake('supervisor')
return changed
