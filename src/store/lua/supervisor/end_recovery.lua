-- Ends the recovery after a loss of data: the living agents have reported, and tasks may be claimed again.
-- KEYS: 1 prefix
-- ARGV: 1 reason
-- Returns: 'ok'
if redis.call('HDEL', P .. 'epoch', 'settling_until') == 1 then
  event(EVENT.redis_settled, nil, nil, nil, nil, ARGV[1])
  for _, limit in ipairs(redis.call('HKEYS', P .. 'limits')) do
    local role = string.match(limit, '^max:(.*)$')
    if role and redis.call('ZCARD', P .. 'ready:' .. role) > 0 then wake_role(role) end
  end
end
return 'ok'
