-- A person answers a question of a task. If the question is whether its result is accepted, the task succeeds, or runs again. A task that was held for it becomes ready. If the question is whether to approve
-- the delegation itself, a denial cancels the task, and its parent is sent a message.
-- KEYS: 1 prefix
-- ARGV: 1 task, 2 token (the same answer sent again is one answer), 3 the answer, 4 'approved' 'denied' or '',
--       5 the person in words, 6 the question's number or '', which is enough only where one question is open and no other
--       one was answered or closed before: an answer must not go to a question that its writer has not seen
-- Returns: {the question's number, its text, the task's state afterwards, how many of its questions are open}
-- Refuses: unknown, nothing_asked, damaged (the record does not read), question_unnamed (with the numbers of the open ones),
--          question_closed, not_an_option and has_options (with the question and its options as JSON), approve_or_deny
local id = ARGV[1]
local f = get(id, 'state', 'role', 'asks', 'agent', 'holds', 'unapproved')
if not f[1] then return refuse(REFUSAL.unknown, id) end
if not is_sound(id) then return refuse(REFUSAL.damaged, id) end
local list, named, index, question = P .. 'questions:' .. id, tonumber(ARGV[6] or ''), nil, nil
local open_ones, others = {}, 0
for i, text in ipairs(redis.call('LRANGE', list, 0, -1)) do
  local one = decoded(text)
  if one.answer_token == ARGV[2] then return {one.number, one.text, f[1], number(f[3])} end
  if one.number and not one.answer and not one.closed then
    open_ones[#open_ones + 1] = one.number
    if (named or one.number) == one.number then index, question = i - 1, question or one end
  else
    others = others + 1
  end
end
if #open_ones == 0 then return refuse(REFUSAL.nothing_asked, id) end
if not question then return refuse(REFUSAL.question_closed, id .. '#' .. ARGV[6]) end
if not named and (#open_ones > 1 or others > 0) then
  return refuse(REFUSAL.question_unnamed, id .. ' ' .. table.concat(open_ones, ' '))
end
local escalates, accepts = question.kind == 'escalation', question.kind == 'acceptance'
if is_approval(question) and ARGV[4] == '' then return refuse(REFUSAL.approve_or_deny, id .. '#' .. question.number) end
local answer = ARGV[3]
if question.options ~= '' then
  local named, options = id .. '#' .. question.number .. ' ' .. question.options, decoded(question.options)
  if ARGV[4] ~= '' then
    -- Of two choices that mean yes and no, approve and deny give one. A choice takes no remark.
    local means = {approved = {yes = true, y = true}, denied = {no = true, n = true}}
    local first, second = string.lower(options[1] or ''), string.lower(options[2] or '')
    local yes, no = means.approved, means.denied
    local is_yes_or_no = #options == 2 and (yes[first] and no[second] or no[first] and yes[second])
    if not is_yes_or_no or answer ~= ARGV[4] then return refuse(REFUSAL.has_options, named) end
    answer = means[ARGV[4]][first] and options[1] or options[2]
  end
  local is_one = false
  for _, option in ipairs(options) do is_one = is_one or option == answer end
  if not is_one then return refuse(REFUSAL.not_an_option, named) end
end

question.answer, question.answered_at, question.answered_by, question.answer_token = answer, now, ARGV[5], ARGV[2]
if ARGV[4] ~= '' then question.verdict = ARGV[4] end
redis.call('LSET', list, index, cjson.encode(question))
event(EVENT.task_answered, id, f[4], nil, nil, ARGV[5] .. ' answered: ' .. short(answer, 500),
  cjson.encode({question = question.number}))
redis.call('PUBLISH', P .. 'news:' .. id, 'answered')
local record, open, state = P .. 'task:' .. id, number(f[3]) - 1, f[1]
if open > 0 then
  redis.call('HSET', record, 'asks', open)
else
  redis.call('HDEL', record, 'asks')
  redis.call('ZREM', P .. 'asking', id)
end
if f[1] == 'running' and f[4] then
  -- What it does from now on counts as its progress.
  redis.call('HSET', P .. 'agent:' .. f[4], 'progress_at', now)
  if open == 0 then
    redis.call('HDEL', record, 'asking_until')
    redis.call('HDEL', P .. 'agent:' .. f[4], unpack(ASKED))
  end
elseif escalates then
  local reason = ARGV[5] .. (ARGV[4] == 'denied' and ' ' .. ARGV[3] or ' approved it')
  state = decide_approval(id, question, ARGV[4], reason)
elseif accepts then
  local decided = ARGV[4] == 'approved' and ' has accepted its result' or ' has not accepted its result: ' .. ARGV[3]
  state = decide_approval(id, question, ARGV[4], ARGV[5] .. decided)
elseif f[1] == 'held' and f[5] == 'question' and open == 0 then
  redis.call('HDEL', record, 'cause', 'code', 'reason')
  state = 'ready'
  move(id, 'held', state, f[2], nil, nil, 'its question was answered by ' .. ARGV[5])
end
return {question.number, question.text, state, open}
