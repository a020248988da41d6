-- Renews the lease of a supervisor on this namespace. Those of one state folder are kept apart by a lock there;
-- those of two folders, or of two machines, know of each other only here.
-- KEYS: 1 prefix
-- ARGV: 1 which state folder of which machine, 2 where that is, in words, 3 for how long (ms); 0 releases it
-- Returns: 'ok'
-- Refuses: supervised (another one has it; where)
local record, lease = P .. 'supervisor', tonumber(ARGV[3])
local s = redis.call('HMGET', record, 'home', 'where', 'until')
local is_ours, rest = s[1] == ARGV[1], number(s[3]) - now
-- A lease lasts at most a minute: a longer one was recorded before the clock was set back.
if s[1] and not is_ours and rest > 0 and rest <= 60000 then return refuse(REFUSAL.supervised, s[2]) end
if lease == 0 then
  if is_ours then redis.call('DEL', record) end
  return 'ok'
end
redis.call('HSET', record, 'home', ARGV[1], 'where', ARGV[2], 'until', now + math.min(lease, 60000))
return 'ok'
