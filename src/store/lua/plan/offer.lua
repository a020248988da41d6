-- Offers the tasks that their plans had no room for, as far as there is room by now: an estimate may have become smaller.
-- KEYS: 1 prefix
-- ARGV: none
-- Returns: how many plans still have such tasks
for _, plan in ipairs(redis.call('SMEMBERS', P .. 'short_plans')) do offer_short(plan) end
judge_plans()
return redis.call('SCARD', P .. 'short_plans')
