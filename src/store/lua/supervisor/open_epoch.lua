-- A Redis server came up with these records: another one, or the same one started again. It may have lost what it had
-- acknowledged (a cut file, an older copy, an empty folder), so fences go on above all that can ever have been given.
-- A repeated call, also from another process that noticed the same, changes nothing.
-- KEYS: 1 prefix
-- ARGV: 1 this server's run id, 2 the lowest epoch that may be taken, 3 the last epoch that is remembered outside of
--       Redis or '', 4 the last fence, 5 the number of tasks accepted, 6 how long living agents get to report what
--       they know if something is lost (ms)
-- Returns: the epoch
local e = redis.call('HMGET', P .. 'epoch', 'number', 'run_id')
local stored, remembered = tonumber(e[1] or '-1'), tonumber(ARGV[3]) or -1
if e[2] == ARGV[1] and stored >= remembered then return e[1] end

local fence, seq = tonumber(redis.call('GET', P .. 'fence') or '0'), tonumber(redis.call('GET', P .. 'seq') or '0')
local last_fence, accepted = tonumber(ARGV[4]), tonumber(ARGV[5])
local number = math.max(tonumber(ARGV[2]), stored + 1)
if number > 0 then number = math.max(number, math.floor(math.max(fence, last_fence) / FENCES_PER_EPOCH) + 1) end

mark_format()
redis.call('HSET', P .. 'epoch', 'number', number, 'run_id', ARGV[1], 'since', now)
if number * FENCES_PER_EPOCH > fence then redis.call('SET', P .. 'fence', number * FENCES_PER_EPOCH) end
if (last_fence > 0 or accepted > 0) and (stored < remembered or fence < last_fence or seq < accepted) then
  local loss = 'Redis came back with less than it had: '
  if seq < accepted then
    loss = loss .. accepted .. ' tasks had been accepted, and the newest it knows is number ' .. seq
  else
    loss = loss .. 'it knows of all ' .. accepted .. ' tasks, but not what happened to them last'
  end
  -- They are counted from here on, or the next loss would not be noticed.
  if seq < accepted then redis.call('SET', P .. 'seq', accepted) end
  redis.call('HSET', P .. 'epoch', 'lost_at', now, 'loss', loss, 'settling_until', now + ARGV[6])
  event(EVENT.redis_lost_data, nil, nil, nil, nil, loss, cjson.encode({
    accepted = accepted, known = seq, last_fence = exact(last_fence), known_fence = exact(fence), epoch = number}))
elseif stored >= 0 then
  event(EVENT.redis_epoch, nil, nil, nil, nil, 'a Redis server came up; fences go on above ' ..
    string.format('%.0f', number * FENCES_PER_EPOCH))
end
wake('supervisor')
return tostring(number)
