-- Makes known which schedules there are. A new one, and one that has other times, occurs from now on; one that is not named
-- is forgotten.
-- KEYS: 1 prefix
-- ARGV: 1... the name of each, and a text that differs where its times do
-- Returns: how many have changed
local named, changed = {}, 0
for i = 1, #ARGV, 2 do
  local name, times = ARGV[i], ARGV[i + 1]
  named[name] = true
  local before = redis.call('HGET', P .. 'schedule:' .. name, 'times')
  if before ~= times then
    redis.call('HSET', P .. 'schedule:' .. name, 'times', times, 'mark', now)
    redis.call('SADD', P .. 'schedules', name)
    event(EVENT.schedule_changed, nil, nil, nil, nil, 'schedule ' .. name .. ' occurs from now on: ' .. times,
      cjson.encode({schedule = name}))
    changed = changed + 1
  end
end
for _, name in ipairs(redis.call('SMEMBERS', P .. 'schedules')) do
  if not named[name] then
    drop_waiting(name, 'the schedule was removed')
    redis.call('DEL', P .. 'schedule:' .. name, P .. 'schedule_log:' .. name)
    redis.call('SREM', P .. 'schedules', name)
    event(EVENT.schedule_changed, nil, nil, nil, nil, 'schedule ' .. name .. ' was removed', cjson.encode({schedule = name}))
    changed = changed + 1
  end
end
return changed
