-- Asks for a run of a schedule now, besides its occurrences. The same token is the same request.
-- KEYS: 1 prefix
-- ARGV: 1 schedule, 2 its overlap policy, 3 who asks, in words, 4 token
-- Returns: the time of the request (ms), which stands for an occurrence
-- Refuses: unknown, overlaps (a run is not over, whose id is the detail, or has not started), full
local name, record, waiting = ARGV[1], P .. 'schedule:' .. ARGV[1], P .. 'schedule_waiting:' .. ARGV[1]
local sent_before = redis.call('GET', P .. 'requested:' .. ARGV[4])
if sent_before then return sent_before end
if not redis.call('HGET', record, 'mark') then return refuse(REFUSAL.unknown, name) end
local before, waits = open_run(name), redis.call('LLEN', waiting)
if ARGV[2] == 'skip' and (before or waits > 0) then return refuse(REFUSAL.overlaps, before or '') end
if ARGV[2] == 'queue' and waits >= 100 then return refuse(REFUSAL.full, name) end
if ARGV[2] == 'replace' then drop_waiting(name, 'replaced by a run that ' .. ARGV[3] .. ' asked for') end
local at = string.format('%.0f', now)
redis.call('RPUSH', waiting, cjson.encode({at = now, by = ARGV[3], replaces = ARGV[2] == 'replace' and before and true or nil}))
redis.call('SET', P .. 'requested:' .. ARGV[4], at, 'PX', 3600000)
event(EVENT.schedule_requested, nil, nil, nil, nil, 'schedule ' .. name .. ': ' .. ARGV[3] .. ' asks for a run',
  cjson.encode({schedule = name, at = now}))
wake('schedules')
return at
