-- Makes further tasks of an accepted plan.
-- KEYS: 1 prefix
-- ARGV: 1 plan, or '' for one that is not complete
-- Returns: how many of its tasks are not made yet
local plan = ARGV[1]
if plan == '' then plan = redis.call('SMEMBERS', P .. 'growing')[1] end
if not plan or redis.call('SISMEMBER', P .. 'growing', plan) == 0 then return 0 end
return grow(plan, GROWN_AT_ONCE)
