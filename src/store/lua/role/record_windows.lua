-- Records what a program has reported of the windows of its role's account.
-- KEYS: 1 prefix
-- ARGV: 1 role, 2... windows, each a name and a JSON object (used, from 0 to 1; is_full; resets_at, in ms)
-- Returns: the account
local _, account = rate_of(ARGV[1])
local key = P .. 'windows:' .. account
for i = 2, #ARGV, 2 do
  local window = decoded(ARGV[i + 1])
  window.seen_at = now
  redis.call('HSET', key, ARGV[i], cjson.encode(window))
end
redis.call('PEXPIRE', key, 8 * DAY)
-- What a window kept from starting may start.
offer_to_waiting()
return account
