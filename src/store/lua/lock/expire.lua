-- Ends the locks of persons whose time has passed and the reservations of parked tasks, and offers further tasks that wait
-- for locks that have become free.
-- KEYS: 1 prefix
-- ARGV: none
-- Returns: ms until the next one ends or ''
for _, holder in ipairs(redis.call('ZRANGEBYSCORE', P .. 'lock_ends', '-inf', now, 'LIMIT', 0, 100)) do
  redis.call('ZREM', P .. 'lock_ends', holder)
  if string.sub(holder, 1, 1) == '~' then
    redis.call('HDEL', P .. 'task:' .. string.sub(holder, 2), 'reserved_until')
    redis.call('SREM', P .. 'reserving', string.sub(holder, 2))
  else
    local patterns = {}
    for _, entry in ipairs(redis.call('HKEYS', P .. 'held:' .. holder)) do
      local _, pattern = read_entry(entry)
      append(patterns, pattern)
    end
    redis.call('DEL', P .. 'lock:' .. holder)
    redis.call('SREM', P .. 'person_locks', holder)
    event(EVENT.lock_expired, nil, nil, nil, nil,
      'the lock ' .. holder .. ' of ' .. short(table.concat(patterns, ', '), 500) .. ' has expired')
  end
  release_locks(holder)
end
offer_further()
if redis.call('EXISTS', P .. 'lock_offers') == 1 then return '0' end
local next_one = redis.call('ZRANGE', P .. 'lock_ends', 0, 0, 'WITHSCORES')
return next_one[2] and tostring(math.max(0, next_one[2] - now)) or ''
