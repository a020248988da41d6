-- A role is not held back any more: idle agents that were sent away look again.
-- KEYS: 1 prefix
-- ARGV: 1 role, 2 reason
-- Returns: 'ok'
event(EVENT.role_released, nil, nil, nil, nil, ARGV[2])
for _ = 1, redis.call('SCARD', P .. 'idle:' .. ARGV[1]) do offer(ARGV[1]) end
wake('supervisor')
return 'ok'
