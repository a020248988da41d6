-- Notes that agents of a role die at once, and until when no other is started; or, with 0 failures, that all is well.
-- KEYS: 1 prefix
-- ARGV: 1 role, 2 failures in a row, 3 for how long no other is started (ms), 4 reason
-- Returns: 'ok'
local record = P .. 'breaker:' .. ARGV[1]
if ARGV[2] == '0' then
  if redis.call('DEL', record) == 1 then event('role.recovered', nil, nil, nil, nil, ARGV[4]) end
else
  redis.call('HSET', record, 'failures', ARGV[2], 'until', now + ARGV[3], 'reason', ARGV[4])
  redis.call('PEXPIRE', record, 3600000)
  event('role.backoff', nil, nil, nil, nil, ARGV[4])
end
return 'ok'
