-- Compares what is reserved under each cap with what the running tasks have reserved. It writes nothing.
-- KEYS: 1 prefix
-- ARGV: none
-- Returns: {field, what is recorded, what the running tasks have, ...} of those that differ
local counted, differs = {}, {}
for _, id in ipairs(redis.call('ZRANGE', P .. 'state:running', 0, -1)) do
  local usd, tokens, role, plans = string.match(get(id, 'reserves')[1] or '', '^(%d+) (%d+) (%S+) (%S*)$')
  if usd then
    local under = {'all', 'role:' .. role}
    for plan in string.gmatch(plans, '[^,]+') do append(under, 'plan:' .. plan) end
    for _, of in ipairs(under) do
      counted[of .. ':micro_usd'] = (counted[of .. ':micro_usd'] or 0) + usd
      counted[of .. ':tokens'] = (counted[of .. ':tokens'] or 0) + tokens
    end
  end
end
local recorded = redis.call('HGETALL', P .. 'reserved')
for i = 1, #recorded, 2 do
  if tonumber(recorded[i + 1]) ~= (counted[recorded[i]] or 0) then
    append(differs, recorded[i], recorded[i + 1], string.format('%.0f', counted[recorded[i]] or 0))
  end
  counted[recorded[i]] = nil
end
for field, amount in pairs(counted) do
  if amount > 0 then append(differs, field, '0', string.format('%.0f', amount)) end
end
return differs
