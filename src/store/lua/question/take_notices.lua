-- Takes the notices that still apply: each is returned once.
-- KEYS: 1 prefix
-- ARGV: 1 how many at most
-- Returns: notices (JSON: what, text, at, and what it is about: task, question with its options (JSON in a text) and the
--          agent whose program asked it, agent, needs, needs_for)
local due = {}
for _ = 1, tonumber(ARGV[1]) do
  local text = redis.call('LPOP', P .. 'notices')
  if not text then return due end
  local one = decoded(text)
  -- Of a plan, or of a budget.
  if not one.agent and not one.task then due[#due + 1] = text end
  if one.agent then
    local asks = redis.pcall('HMGET', P .. 'agent:' .. one.agent, 'needs', 'needs_for')
    -- The details may have become known since, or be unknown again.
    if asks[1] == one.needs and (asks[2] == one.needs_for or asks[2] == '' or not one.needs_for) then due[#due + 1] = text end
  end
  if one.task and not one.question and not one.agent and get(one.task, 'state')[1] == 'held' then due[#due + 1] = text end
  if one.question then
    local question = decoded(redis.pcall('LINDEX', P .. 'questions:' .. one.task, one.question - 1))
    if question.text and not question.answer and not question.closed then
      -- Whole, and not as it was shortened for the notice.
      one.text, one.options, one.asked_by = question.text, question.options, question.agent
      due[#due + 1] = cjson.encode(one)
    end
  end
end
return due
