-- Records the budgets of a role, its account, and whether it can be started; '' stands for all roles together.
-- KEYS: 1 prefix
-- ARGV: 1 role or '', 2 account, 3 a day: millionths of a dollar or '', 4 a day: tokens or '', 5 and 6 the same for a task,
--       7 why nothing of it can be started, or '', 8 and 9 what its first attempt is expected to use: the same two,
--       10 how many attempts of its account may run, and of which roles these are, or '', 11 how many may start in how many ms, or '',
--       12 '1' if its attempts use a service, which a few of them try first, or '',
--       13 what its program is known to report: 'money', 'tokens', both, or '', 14 how much of a window of its account may be
--       used (0 to 1), or ''
-- Returns: 'ok'
local fields = {'account:' .. ARGV[1], 'day_usd:' .. ARGV[1], 'day_tokens:' .. ARGV[1], 'task_usd:' .. ARGV[1],
  'task_tokens:' .. ARGV[1], 'unavailable:' .. ARGV[1], 'expected_usd:' .. ARGV[1], 'expected_tokens:' .. ARGV[1],
  'slots:' .. ARGV[1], 'pace:' .. ARGV[1], 'tried:' .. ARGV[1], 'reports:' .. ARGV[1],
  'window_use:' .. ARGV[1]}
-- The environment of the programs, and with it their keys, may be another one.
redis.call('HDEL', P .. 'budgets', 'login:' .. ARGV[1])
for i, value in ipairs({ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7] or '', ARGV[8] or '', ARGV[9] or '', ARGV[10] or '',
  ARGV[11] or '', ARGV[12] or '', ARGV[13] or '', ARGV[14] or ''}) do
  if value == '' then
    redis.call('HDEL', P .. 'budgets', fields[i])
  else
    redis.call('HSET', P .. 'budgets', fields[i], value)
  end
end
return 'ok'
