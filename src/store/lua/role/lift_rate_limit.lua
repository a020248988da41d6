-- Lifts the rate limit of a role's account at a person's request: its roles start again, and the tasks that it delayed
-- become ready. A role that waits for a login starts again, too.
-- KEYS: 1 prefix
-- ARGV: 1 role, 2 the person in words
-- Returns: '1' where there was one or the other, else '0'
local rate, account = rate_of(ARGV[1])
local limited = redis.call('HMGET', rate, 'until', 'reason')
local logged_in = accept_login(ARGV[1])
if number(limited[1]) <= now then return logged_in and '1' or '0' end
local roles = {}
for _, field in ipairs(redis.call('HKEYS', P .. 'budgets')) do
  local name = field:match('^account:(.+)$')
  if name and rate_of(name) == rate then roles[name] = true end
end
roles[ARGV[1]] = true
redis.call('DEL', rate)
local why = 'the rate limit of ' .. account .. ' was lifted by ' .. ARGV[2]
event(EVENT.role_limit_lifted, nil, nil, nil, nil, why .. '; it was: ' .. (limited[2] or ''), cjson.encode({account = account}))
for _, id in ipairs(redis.call('ZRANGE', P .. 'state:delayed', 0, -1)) do
  local f = get(id, 'role', 'cause', 'state')
  if f[3] == 'delayed' and f[2] == CAUSE.rate_limited and roles[f[1] or ''] and is_sound(id) then
    move(id, 'delayed', 'ready', f[1], nil, nil, why)
  end
end
-- Idle agents claim again.
for role in pairs(roles) do
  for _ = 1, redis.call('SCARD', P .. 'idle:' .. role) do offer(role) end
end
wake('supervisor')
return '1'
