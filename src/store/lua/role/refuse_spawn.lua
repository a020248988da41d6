-- A request for one more agent of a role cannot be fulfilled: it is dropped, and the reason recorded.
-- KEYS: 1 prefix
-- ARGV: 1 the request (a field of `requests`), 2 role, 3 reason, 4 code of the reason
-- Returns: 'ok'
if redis.call('HDEL', P .. 'requests', ARGV[1]) == 1 then
  event(EVENT.role_spawn_refused, nil, nil, nil, nil, 'no further agent of role ' .. ARGV[2] .. ': ' .. ARGV[3],
    cjson.encode({role = ARGV[2]}), ARGV[4])
end
return 'ok'
