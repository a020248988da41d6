-- Records a fact that is no transition of a task or an agent: a supervisor has started, Redis was restarted.
-- KEYS: 1 prefix
-- ARGV: 1 kind, 2 reason, 3 data (JSON or ''), 4 the task that it is about, or ''
-- Returns: 'ok'
event(ARGV[1], ARGV[4], nil, nil, nil, ARGV[2], ARGV[3])
return 'ok'
