-- Keeps some tasks of a plan that is being submitted, for as long as a caller may take: they are no tasks yet.
-- KEYS: 1 prefix
-- ARGV: 1 plan, 2 the place of the first one, from 1, 3... tasks (JSON: id, key, spec as for delegate, text, context)
-- Returns: 'ok'
if (format or redis.call('EXISTS', P .. 'events') == 1) and (format or 0) < FORMAT then return other_format(format or 1) end
-- A repeated call after the plan was accepted adds nothing.
if redis.call('EXISTS', P .. 'plan:' .. ARGV[1]) == 1 then return 'ok' end
local tasks = {}
for i = 3, #ARGV do append(tasks, number(ARGV[2]) + i - 3, ARGV[i]) end
redis.call('HSET', P .. 'staged:' .. ARGV[1], unpack(tasks))
redis.call('PEXPIRE', P .. 'staged:' .. ARGV[1], 600000)
return 'ok'
