-- Wakes the idle agents of a role that is no longer suspended.
-- KEYS: 1 prefix
-- ARGV: 1 role, 2 reason
-- Returns: 'ok'
event(EVENT.role_released, nil, nil, nil, nil, ARGV[2])
for _ = 1, redis.call('SCARD', P .. 'idle:' .. ARGV[1]) do offer(ARGV[1]) end
wake('supervisor')
return 'ok'
