-- Records an agent that is about to be started. The record comes first: a crash before the session is opened leaves
-- a `starting` agent, which the next pass finds and declares dead.
-- KEYS: 1 prefix
-- ARGV: 1 agent, 2 role, 3 session, 4 incarnation, 5 '1' for the master, 6 reason,
--       7 the request that it fulfils (a field of `requests`) or ''
-- Returns: 'ok'
-- Refuses: taken (an agent of this id lives)
local record = P .. 'agent:' .. ARGV[1]
local a = redis.pcall('HMGET', record, 'state', 'incarnation', 'restarts')
if a[2] == ARGV[4] then return 'ok' end
-- A record without a known state belongs to no living agent: an agent that believes otherwise is refused by the
-- incarnation.
if string.find(AGENT, ' ' .. (a[1] or '') .. '>', 1, true) then return refuse(REFUSAL.taken, ARGV[1]) end
local restarts = 0
if a[1] == 'failed' then restarts = number(a[3]) + 1 end
redis.call('DEL', record, P .. 'wake:agent:' .. ARGV[1])
redis.call('HSET', record, 'role', ARGV[2], 'state', 'starting', 'session', ARGV[3], 'incarnation', ARGV[4],
  'master', ARGV[5], 'started_at', now, 'since', now, 'tasks_done', 0, 'restarts', restarts, 'reason', ARGV[6])
local start = redis.call('GET', P .. 'supervisor_starts')
if start then redis.call('HSET', record, 'supervisor_start', start) end
redis.call('SADD', P .. 'agents', ARGV[1])
if ARGV[7] ~= '' then redis.call('HDEL', P .. 'requests', ARGV[7]) end
event(EVENT.agent_starting, nil, ARGV[1], type(a[1]) == 'string' and a[1] or nil, 'starting', ARGV[6])
return 'ok'
