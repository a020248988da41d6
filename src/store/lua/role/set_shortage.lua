-- Publishes which ready tasks lack a slot under max_agents: agents of less urgent roles make room (task/claim.lua).
-- KEYS: 1 prefix
-- ARGV: 1 role and place of each task, between spaces, or '' for none, 2 for how long this holds (ms), 3 tolerance (see
--       model/task.rs), 4... each role with its min
-- Returns: 'ok'
local limits = P .. 'limits'
local before = redis.call('HGET', limits, 'shortage')
if ARGV[1] == '' then
  redis.call('HDEL', limits, 'shortage', 'shortage_until', 'shortage_tolerance')
else
  redis.call('HSET', limits, 'shortage', ARGV[1], 'shortage_until', now + ARGV[2], 'shortage_tolerance', ARGV[3])
end
for i = 4, #ARGV, 2 do
  redis.call('HSET', limits, 'min:' .. ARGV[i], ARGV[i + 1])
  -- An idle agent may take a task again.
  if before and before ~= ARGV[1] then
    for _ = 1, redis.call('SCARD', P .. 'idle:' .. ARGV[i]) do offer(ARGV[i]) end
  end
end
return 'ok'
