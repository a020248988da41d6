-- Asks for one more agent of a role, and releases the role's breaker.
-- KEYS: 1 prefix
-- ARGV: 1 role, 2 token (the same request sent again is one request), 3 reason
-- Returns: 'ok'
-- Remembered for longer than anyone sends a call again: the request may be fulfilled by then.
if not redis.call('SET', P .. 'requested:' .. ARGV[2], '1', 'NX', 'PX', 3600000) then return 'ok' end
redis.call('HSET', P .. 'requests', 'spawn:' .. ARGV[1] .. ':' .. ARGV[2], '1')
redis.call('DEL', P .. 'breaker:' .. ARGV[1])
event(EVENT.role_spawn, nil, nil, nil, nil, ARGV[3])
wake('supervisor')
return 'ok'
