-- Takes locks for a person or for a running task: all of them or none. Sent again, it gives the same answer.
-- KEYS: 1 prefix
-- ARGV: 1 a new lock's id for a person ('l-...'), or the task, 2 its incarnation and 3 its fence, both '' for a person,
--       4 the mode ('w' or 'r'), 5 patterns in their normal form (JSON, a list), 6 reason or '', 7 for how long (ms) or '',
--       8 the caller in words, 9 the same as the lock names its owner
-- Returns: {} where it has them, else {pattern, the entry of `locks` that is in the way}
-- Refuses: stale (the attempt is over)
local holder, is_task = ARGV[1], ARGV[3] ~= ''
if is_task then
  local f = get(holder, 'state', 'incarnation', 'fence', 'cancelling')
  if f[1] ~= 'running' or f[2] ~= ARGV[2] or f[3] ~= ARGV[3] then return refuse(REFUSAL.stale, holder) end
end
local wants = {}
for _, pattern in ipairs(cjson.decode(ARGV[5])) do wants[#wants + 1] = {ARGV[4], pattern} end
local want, entry = lacked(holder, wants)
if want then return {want[2], entry} end
if not is_task and redis.call('EXISTS', P .. 'lock:' .. holder) == 0 then
  redis.call('HSET', P .. 'lock:' .. holder, 'at', now, 'reason', ARGV[6], 'by', ARGV[9])
  redis.call('SADD', P .. 'person_locks', holder)
  if ARGV[7] ~= '' then
    redis.call('HSET', P .. 'lock:' .. holder, 'until', now + ARGV[7])
    redis.call('ZADD', P .. 'lock_ends', now + ARGV[7], holder)
    wake('supervisor')
  end
end
local had = #redis.call('HKEYS', P .. 'held:' .. holder)
take_locks(holder, wants, ARGV[6] ~= '' and ARGV[6] or nil)
if #redis.call('HKEYS', P .. 'held:' .. holder) > had then
  local what = {}
  for i, one in ipairs(wants) do what[i] = one[2] end
  local reason = ARGV[8] .. ' has locked ' .. short(table.concat(what, ', '), 500)
  if ARGV[6] ~= '' then reason = reason .. ': ' .. short(ARGV[6], 200) end
  event(EVENT.lock_taken, is_task and holder or nil, nil, nil, nil, reason)
end
return {}
