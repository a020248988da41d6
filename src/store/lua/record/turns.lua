-- The shares of a role's slots, and whose turn it is. What is not built yet is built first.
-- KEYS: 1 prefix
-- ARGV: 1 role, 2 a ready task of it, or ''
-- Returns: {now (as a place), the priority and place of the ready task with the lowest place or '', the priority, share and rank of the
--          task in its queue or '', then for each queue: priority, share, how many are ready, the first one, its place, the slots of the
--          share, what it has used, its weight, the priority of the task that it started last or ''}; of each priority the first 100 shares, and that of the task
local role, id = ARGV[1], ARGV[2]
next_in_turn(role)
local oldest = redis.call('ZRANGE', P .. 'ready:' .. role, 0, 0, 'WITHSCORES')
local reply = {string.format('%.0f', now * 1000 + clock[2] % 1000), '', '', '', '', ''}
if oldest[1] then reply[2], reply[3] = terms_of_turn(oldest[1]), oldest[2] end
local its_priority, its_share = terms_of_turn(id)
local rank = id ~= '' and redis.call('ZRANK', queue_of(role, its_priority, its_share), id)
if rank then reply[4], reply[5], reply[6] = its_priority, its_share, rank end
for _, priority in ipairs(PRIORITIES) do
  local has_own = not rank or priority ~= its_priority
  local shares = redis.call('ZRANGE', turns_of(role, priority), 0, 99)
  for _, share in ipairs(shares) do has_own = has_own or share == its_share end
  if not has_own then shares[#shares + 1] = its_share end
  for _, share in ipairs(shares) do
    local queue = queue_of(role, priority, share)
    local first = redis.call('ZRANGE', queue, 0, 0, 'WITHSCORES')
    local s = read_share(role, share)
    append(reply, priority, share, redis.call('ZCARD', queue), first[1], first[2], s.busy, string.format('%.0f', s.used),
      weight_of(share), redis.call('HGET', P .. 'shares:' .. role, 'last:' .. share) or '')
  end
end
return reply
