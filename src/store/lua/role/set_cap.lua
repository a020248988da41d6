-- A person sets what a role may use in a day, or all roles together.
-- KEYS: 1 prefix
-- ARGV: 1 role, or '' for all, 2 millionths of a dollar: a number, 'none' (any), 'default' (as in sessions.toml) or '' (as it
--       is), 3 the same in tokens, 4 reason
-- Returns: '1' where that changed anything, else '0'
local changed = '0'
for i, field in ipairs({'set_usd:' .. ARGV[1], 'set_tokens:' .. ARGV[1]}) do
  local to, is = ARGV[i + 1], redis.call('HGET', P .. 'budgets', field)
  if to == 'default' and is then
    redis.call('HDEL', P .. 'budgets', field)
    changed = '1'
  elseif to ~= '' and to ~= 'default' and to ~= is then
    redis.call('HSET', P .. 'budgets', field, to)
    changed = '1'
  end
end
if changed == '1' then
  -- Another cap is warned of again.
  redis.call('SREM', P .. 'warned:' .. math.floor(now / DAY), ARGV[1] == '' and 'all' or 'role:' .. ARGV[1])
  event(EVENT.budget_changed, nil, nil, nil, nil, ARGV[4])
  offer_to_waiting()
end
return changed
