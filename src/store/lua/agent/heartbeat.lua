-- Records an agent's heartbeat and renews the lease of its task, if it has one.
-- KEYS: 1 prefix
-- ARGV: 1 agent, 2 incarnation, 3 lease (ms), 4 task or '', 5 fence or '', 6 memory (bytes) or '',
--       7 age of the last progress (ms) or '', 8 needs or '', 9 for what exactly or '', 10 what it tries again (JSON: why)
--       or '', 11 '1' if its program is in a turn without a task (the master's),
--       12 what its program has reported to have used so far (JSON: usage, and metered as for of_conversation) or ''
-- Returns: 'go', 'asks <question>' (go on; its program waits for the answer of a person), 'stop <reason>' (leave),
--          'cancel <reason>' (end the attempt), or 'over <reason>' (the same: its task has used what it may)
-- Refuses: stale (the agent or its lease is no longer what it believes)
local agent, task = ARGV[1], ARGV[4]
local a = redis.call('HMGET', P .. 'agent:' .. agent, 'state', 'incarnation', 'needs', 'reason', 'progress_at',
  'needs_for', 'retrying', 'works', 'role')
if a[2] ~= ARGV[2] or a[1] == 'failed' or a[1] == 'stopped' then return refuse(REFUSAL.stale, agent) end
local cancelling, over, needs, of, is_question, asks, waits = nil, nil, ARGV[8], ARGV[9], false, nil, false
if task ~= '' then
  local f = get(task, 'state', 'agent', 'incarnation', 'fence', 'cancelling', 'asking_until', 'waiting_until', 'live')
  if f[1] ~= 'running' or f[2] ~= agent or f[3] ~= ARGV[2] or f[4] ~= ARGV[5] then return refuse(REFUSAL.stale, task) end
  cancelling = f[5]
  waits = number(f[7]) > now
  if number(f[6]) > now then
    asks = short(open_question(task) or '', 120)
    if needs == '' then needs, of = 'input', asks end
    -- The question had its own notice.
    is_question = needs == 'input'
  end
  redis.call('ZADD', P .. 'state:running', 'XX', now + ARGV[3], task)
  if (ARGV[12] or '') ~= '' then charge_live(task, a[9], agent, decoded(f[8] or ''), decoded(ARGV[12])) end
  if f[8] or (ARGV[12] or '') ~= '' then over = over_its_limit(task, a[9]) end
end
local record = P .. 'agent:' .. agent
redis.call('HSET', record, 'heartbeat_at', now)
if ARGV[6] ~= '' then redis.call('HSET', record, 'rss_bytes', ARGV[6]) end
-- What its program has reported itself may be later than what its runner has seen of it.
if waits then
  -- What ends its wait is not silence.
  redis.call('HSET', record, 'progress_at', now)
elseif ARGV[7] ~= '' then
  local seen, reported = now - ARGV[7], tonumber(a[5] or 0) or 0
  if seen > reported or reported > now then redis.call('HSET', record, 'progress_at', seen) end
end
local asked, asked_for = a[3] or '', a[6] or ''
if needs == '' then
  if asked ~= '' then
    defer_deadline(agent)
    redis.call('HDEL', record, unpack(ASKED))
  end
elseif asked ~= needs or asked_for ~= '' and of ~= '' and asked_for ~= of then
  asks_for(agent, task, needs, of)
  if not is_question then
    local at = task ~= '' and ' for ' .. task or ''
    notice({what = 'needs', agent = agent, task = task ~= '' and task or nil, needs = needs,
      needs_for = of ~= '' and of or nil,
      text = 'agent ' .. agent .. ' waits' .. at .. ': ' .. asks_in_words(needs, of)})
  end
elseif asked_for ~= of then
  -- The program still asks for the same, with more or fewer details.
  redis.call('HSET', record, 'needs_for', of)
end
if (a[7] or '') ~= ARGV[10] then
  if ARGV[10] == '' then
    redis.call('HDEL', record, 'retrying', 'retrying_since')
  else
    redis.call('HSET', record, 'retrying', ARGV[10])
    redis.call('HSETNX', record, 'retrying_since', now)
    if not a[7] then
      event(EVENT.agent_retrying, task, agent, nil, nil, 'its program tries again: ' .. (decoded(ARGV[10]).why or ''))
    end
  end
end
if a[8] and ARGV[11] == '' then
  redis.call('HDEL', record, 'works')
elseif not a[8] and ARGV[11] == '1' then
  redis.call('HSET', record, 'works', now)
end
if a[1] == 'stopping' then return 'stop ' .. (a[4] or '') end
if cancelling then return 'cancel ' .. cancelling end
if over then return 'over ' .. over end
return asks and 'asks ' .. asks or 'go'
