-- Closes a role's breaker after an agent of the role has proven to work.
-- KEYS: 1 prefix
-- ARGV: 1 role (the master's: its id), 2 reason
-- Returns: 'ok'
if redis.call('DEL', P .. 'breaker:' .. ARGV[1]) == 1 then event(EVENT.role_recovered, nil, nil, nil, nil, ARGV[2]) end
return 'ok'
