-- An agent that got a wake-up while it was busy passes it on to an idle one.
-- KEYS: 1 prefix
-- ARGV: 1 role
-- Returns: 'ok'
wake_role(ARGV[1])
return 'ok'
