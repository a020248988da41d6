-- Takes what newly needs a person, and still does: each is given once.
-- KEYS: 1 prefix
-- ARGV: 1 how many at most
-- Returns: notices (JSON: what, text, at, and what it is about: task, question, agent, needs)
local due = {}
for _ = 1, tonumber(ARGV[1]) do
  local text = redis.call('LPOP', P .. 'notices')
  if not text then return due end
  local one = decoded(text)
  if one.agent and redis.pcall('HGET', P .. 'agent:' .. one.agent, 'needs') == one.needs then due[#due + 1] = text end
  if one.task and not one.question and not one.agent and get(one.task, 'state')[1] == 'held' then due[#due + 1] = text end
  if one.question then
    local question = decoded(redis.pcall('LINDEX', P .. 'questions:' .. one.task, one.question - 1))
    if question.text and not question.answer and not question.closed then due[#due + 1] = text end
  end
end
return due
