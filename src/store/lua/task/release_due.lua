-- Makes the delayed tasks ready that are due.
-- KEYS: 1 prefix
-- ARGV: 1 how many at most
-- Returns: {how many, ms until the next one is due or '', ids of damaged ones, to be quarantined}
local ids = redis.call('ZRANGEBYSCORE', P .. 'state:delayed', '-inf', now, 'LIMIT', 0, ARGV[1])
local damaged = {}
for _, id in ipairs(ids) do
  local f = get(id, 'role', 'number', 'state')
  if is_sound(id) and f[3] == 'delayed' then
    move(id, 'delayed', 'ready', f[1], nil, nil, 'its delay is over: attempt ' .. (f[2] + 1) .. ' may start')
  else
    damaged[#damaged + 1] = id
  end
end
local next_one = redis.call('ZRANGE', P .. 'state:delayed', 0, 0, 'WITHSCORES')
local wait = next_one[2] and tostring(math.max(0, next_one[2] - now)) or ''
return {#ids - #damaged, wait, damaged}
