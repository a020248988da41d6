-- Part of the prelude of every transition: messages, questions to persons, and notices.

-- Shortens a text to one line of at most `bytes` bytes, without cutting a character in two.
local function short(text, bytes)
  text = string.gsub(text, '%s+', ' ')
  if #text <= bytes then return text end
  return string.gsub(string.sub(text, 1, bytes), '[\192-\255][\128-\191]*$', '') .. '...'
end

-- A text as a quotation below a line of ours: each of its lines is marked, so that none passes for one of ours.
local function quoted(text, bytes)
  local shown = string.gsub(text, '%s+$', '')
  if #shown > bytes then
    shown = string.gsub(string.sub(shown, 1, bytes), '[\192-\255][\128-\191]*$', '')
  end
  local more = #text - #shown > 0 and #text > bytes and '\n  (and ' .. (#text - #shown) .. ' more bytes, which orch result prints)' or ''
  return '\n  | ' .. string.gsub(string.gsub(shown, '\r', ''), '\n', '\n  | ') .. more
end

local function decoded(text)
  local reads, value = pcall(cjson.decode, text)
  return reads and type(value) == 'table' and value or {}
end

-- How many messages a box keeps.
local BOX = 500

-- Appends a message to a box (the id of a task or of the master) and publishes that to its subscribers.
local function post(box, message)
  message.n, message.at = redis.call('HINCRBY', P .. 'marks:' .. box, 'count', 1), now
  message.id = message.id or ('m-' .. box .. '-' .. message.n)
  redis.call('RPUSH', P .. 'messages:' .. box, cjson.encode(message))
  redis.call('LTRIM', P .. 'messages:' .. box, -BOX, -1)
  redis.call('PUBLISH', P .. 'news:' .. box, message.id)
end

-- Returns how many messages of a task its program has not read.
local function unread(id)
  local m = redis.pcall('HMGET', P .. 'marks:' .. id, 'count', 'read:task')
  return number(m[1]) - number(m[2])
end

-- Marks the unread messages of a task that has ended as failed, and notifies their senders.
local function fail_unread(id, reason)
  local marks, list = P .. 'marks:' .. id, P .. 'messages:' .. id
  local m = redis.pcall('HMGET', marks, 'count', 'read:task')
  local count, read = number(m[1]), number(m[2])
  if count <= read then return end
  local before_first = count - redis.call('LLEN', list)
  for n = math.max(before_first, read) + 1, count do
    local message = decoded(redis.call('LINDEX', list, n - before_first - 1))
    message.failed = reason
    redis.call('LSET', list, n - before_first - 1, cjson.encode(message))
    local what = 'the message of ' .. (message.from or '') .. ' to ' .. id .. ' was not read: ' .. reason
    event(EVENT.message_failed, id, nil, nil, nil, what, cjson.encode({message = message.id}))
    local to = message.reply_to
    if not to then
      -- A person, who has no box.
      redis.call('RPUSH', P .. 'unheard', cjson.encode({task = id, text = short(message.text or '', 200), reason = reason, at = now}))
      redis.call('LTRIM', P .. 'unheard', -20, -1)
      redis.call('PEXPIRE', P .. 'unheard', 3600000)
    end
    if to and (OPEN[get(to, 'state')[1]] or string.sub(to, 1, 2) ~= 't-') then
      post(to, {from = 'orch', task = id, text = what .. ': ' .. short(message.text or '', 200)})
    end
  end
  redis.call('HSET', marks, 'read:task', count)
end

-- Posts to the master that delegated a task what keeps the task from going on.
local function hand_over(id, what)
  local f = get(id, 'notify', 'text')
  if f[1] then post(f[1], {from = 'orch', task = id, text = id .. ' (' .. short(f[2] or '', 60) .. ') ' .. what}) end
end

-- A task that has ended waits for no answer.
local function close_questions(id, reason)
  if redis.call('ZREM', P .. 'asking', id) == 0 then return end
  local list = P .. 'questions:' .. id
  for i, text in ipairs(redis.pcall('LRANGE', list, 0, -1)) do
    local question = decoded(text)
    if question.number and not question.answer and not question.closed then
      question.closed = reason
      redis.call('LSET', list, i - 1, cjson.encode(question))
    end
  end
  redis.call('HDEL', P .. 'task:' .. id, 'asks')
  redis.call('ZREM', P .. 'approval_ends', id)
  redis.call('PUBLISH', P .. 'news:' .. id, 'closed')
end

-- Records that something newly needs a person: the supervisor runs notify_command once for each notice.
local function notice(one)
  one.at = now
  redis.call('RPUSH', P .. 'notices', cjson.encode(one))
  redis.call('LTRIM', P .. 'notices', -1000, -1)
  wake('supervisor')
end

-- A new question of a task to a person. `agent` is the one whose program asks it, where one does.
local function raise_question(id, question, agent)
  local limit = question.kind and tonumber(get(id, 'approval_timeout_ms')[1] or '')
  if limit then
    question.till, question.by_default = now + limit, get(id, 'approval_default')[1] or 'denied'
    redis.call('ZADD', P .. 'approval_ends', question.till, id)
    wake('supervisor')
  end
  redis.call('RPUSH', P .. 'questions:' .. id, cjson.encode(question))
  redis.call('HINCRBY', P .. 'task:' .. id, 'asks', 1)
  redis.call('ZADD', P .. 'asking', 'NX', now, id)
  redis.call('PUBLISH', P .. 'news:' .. id, 'asks')
  event(EVENT.task_asks, id, agent, nil, nil, short(question.text, 500), cjson.encode({question = question.number}))
  notice({what = 'question', task = id, question = question.number, text = short(question.text, 2000),
    escalates = question.kind == 'escalation' or nil, accepts = question.kind == 'acceptance' or nil})
  -- The delegator of a task that needs approval was told when it delegated.
  if question.kind == 'acceptance' then
    hand_over(id, 'has succeeded, and waits until a person accepts its result (orch approve ' .. id .. '#' .. question.number .. ')')
  elseif question.kind ~= 'escalation' then
    hand_over(id, 'asks a person: ' .. short(question.text, 500) .. ' (orch answer ' .. id .. '#' .. question.number .. ' TEXT)')
  end
end

-- Returns the text of a task's first open question.
local function open_question(id)
  if not redis.call('ZSCORE', P .. 'asking', id) then return nil end
  for _, text in ipairs(redis.pcall('LRANGE', P .. 'questions:' .. id, 0, -1)) do
    local question = decoded(text)
    if question.text and not question.answer and not question.closed then return short(question.text, 200) end
  end
end

-- The fields of an agent's record for what its program waits for.
local ASKED = {'needs', 'needs_since', 'needs_for'}
local WAIT = {'needs', 'needs_since', 'needs_for', 'retrying', 'retrying_since'}

-- What is asked for and what exactly (or ''), as src/model/wait.rs says it.
local function asks_in_words(needs, of)
  if needs == 'error' then return 'its program stopped with an error' .. (of ~= '' and ': ' .. of or '') end
  local by = {permission = ' to ', input = ': ', login = ' for login: '}
  if of == '' and needs ~= 'login' then return 'its program asks for ' .. needs .. ': see its screen' end
  return 'its program asks' .. (of ~= '' and by[needs] and by[needs] .. of or ' for ' .. needs)
end

-- The time for which an agent's program has waited for a person is no part of its attempt's time limit.
local function defer_deadline(agent)
  local a = redis.call('HMGET', P .. 'agent:' .. agent, 'needs_since', 'deadline')
  local since, deadline = tonumber(a[1] or ''), tonumber(a[2] or '')
  if since and deadline then
    local deferred = math.min(deadline + math.max(0, now - since), 2 ^ 53)
    redis.call('HSET', P .. 'agent:' .. agent, 'deadline', string.format('%.0f', deferred))
  end
end

-- From now on an agent's program asks its user for something.
local function asks_for(agent, task, needs, of)
  defer_deadline(agent)
  redis.call('HSET', P .. 'agent:' .. agent, 'needs', needs, 'needs_since', now, 'needs_for', of)
  event(EVENT.agent_needs, task, agent, nil, nil, asks_in_words(needs, of))
  if task and task ~= '' then redis.call('PUBLISH', P .. 'news:' .. task, 'needs') end
  -- A question of the task itself was handed over when it was raised.
  if task and task ~= '' and not open_question(task) then hand_over(task, 'waits for a person: ' .. asks_in_words(needs, short(of, 500)) .. ' (orch attach ' .. agent .. ')') end
end
