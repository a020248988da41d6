-- An agent of a role has proven well: the role's breaker is closed.
-- KEYS: 1 prefix
-- ARGV: 1 role (the master's: its id), 2 reason
-- Returns: 'ok'
if redis.call('DEL', P .. 'breaker:' .. ARGV[1]) == 1 then event(EVENT.role_recovered, nil, nil, nil, nil, ARGV[2]) end
return 'ok'
