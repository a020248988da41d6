-- An attempt's program asks a person, or looks whether its question was answered. The same token is the same question;
-- so is the same text, where an earlier attempt asked it or this one has not received the answer yet.
-- KEYS: 1 prefix
-- ARGV: 1 task, 2 fence, 3 incarnation, 4 token, 5 text, 6 options (JSON or ''), 7 for how long from now the program
--       waits for the answer (ms; 0: it does not)
-- Returns: {number, 'open' 'answered' or 'closed', the answer, 'approved' 'denied' or ''}
-- Refuses: stale (the attempt is over), too_many (open ones, or ever)
local id = ARGV[1]
local f = get(id, 'state', 'fence', 'incarnation', 'agent', 'number', 'asks')
if f[1] ~= 'running' or f[2] ~= ARGV[2] or f[3] ~= ARGV[3] then return refuse(REFUSAL.stale, id) end
local record, agent, list, attempt = P .. 'task:' .. id, P .. 'agent:' .. f[4], P .. 'questions:' .. id, number(f[5])

local all, found, index, again = redis.call('LRANGE', list, 0, -1), nil, nil, nil
for i, text in ipairs(all) do
  local question = decoded(text)
  for _, token in ipairs(question.tokens or {}) do
    if token == ARGV[4] then found, index, again = question, i - 1, true end
  end
  -- The approval of the task itself is no answer to what its program asks.
  local same = question.text == ARGV[5] and question.options == ARGV[6] and not question.closed
    and question.kind ~= 'escalation'
  -- A program whose wait has expired within this attempt asks again for the answer that it has not received.
  if not found and same and (question.attempt < attempt or not question.heard) then found, index = question, i - 1 end
end
if not found then
  if number(f[6]) >= 20 or #all >= 500 then return refuse(REFUSAL.too_many, id) end
  found = {number = #all + 1, tokens = {ARGV[4]}, text = ARGV[5], options = ARGV[6], attempt = attempt, agent = f[4],
    asked_at = now}
  raise_question(id, found, f[4])
else
  local received = found.answer and true or nil
  if not again or received ~= found.heard then
    if not again then
      found.attempt = attempt
      found.tokens = {ARGV[4], found.tokens[1], found.tokens[2], found.tokens[3]}
    end
    found.heard = received
    redis.call('LSET', list, index, cjson.encode(found))
  end
end

local state = found.answer and 'answered' or found.closed and 'closed' or 'open'
local waits = tonumber(ARGV[7])
if state == 'open' and waits > 0 then
  redis.call('HSET', record, 'asking_until', now + waits)
  redis.call('HSET', agent, 'progress_at', now)
  -- Its runner reports whatever else the program asks for; a renewed wait does not report that again.
  if (redis.call('HGET', agent, 'needs') or '') == '' then
    asks_for(f[4], id, 'input', short(open_question(id) or '', 120))
  end
else
  -- The next heartbeat takes back that it needs something.
  redis.call('HDEL', record, 'asking_until')
end
return {found.number, state, found.answer or found.closed or '', found.verdict or ''}
