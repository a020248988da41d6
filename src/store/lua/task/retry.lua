-- Retries a dead letter, a cancelled, a skipped or a held task at a person's request, with its counts at zero; and what was
-- cancelled or skipped only because it, or another one that is retried thereby, had ended.
-- KEYS: 1 prefix
-- ARGV: 1 id, 2 reason, 3 the tools that a person has allowed the task (JSON), or '', 4 '1' to run it again also if it has succeeded,
--       5 '1' if an agent asks: what it has used counts against its budget as before
-- Returns: {state before, state afterwards, each further task that is retried}; the same state twice where there was
--          nothing to do
-- Refuses: unknown, damaged (its record does not read), dependency_ended (how what it comes after has ended keeps it from starting: retry that first),
--          not_approved (a retry is no approval; the detail is the task and its state),
--          for_person (an agent asks, and the task waits for a budget, a login, or to be accepted)

local by_agent = ARGV[5] == '1'
-- Why a task is held, where no agent decides that it continues.
local FOR_PERSON = {limit = true, acceptance = true}

-- The states before and afterwards, or nil and a refusal.
local function again(id, reason, allowed_tools, even_succeeded)
  local function allow()
    if allowed_tools and allowed_tools ~= '' then redis.call('HSET', P .. 'task:' .. id, 'allowed_tools', allowed_tools) end
  end
  local f = get(id, 'state', 'role', 'after', 'parent', 'unapproved', 'key', 'deadline_ms', 'code', 'edges', 'holds')
  local from = f[1]
  if not from then return nil, refuse(REFUSAL.unknown, id) end
  if not is_sound(id) then return nil, refuse(REFUSAL.damaged, id) end
  if from == 'delayed' then
    allow()
    move(id, from, 'ready', f[2], nil, nil, reason)
    return from, 'ready'
  end
  local may = from == 'failed' or from == 'cancelled' or from == 'skipped' or from == 'held' or from == 'succeeded' and even_succeeded
  if not may then
    -- Its next attempt has them.
    allow()
    return from, from
  end
  if f[5] then return nil, refuse(REFUSAL.not_approved, id .. ' ' .. from) end
  if by_agent and from == 'held' and (FOR_PERSON[f[10] or ''] or NEEDS_LOGIN[f[8]]) then
    return nil, refuse(REFUSAL.for_person, id)
  end

  local reads, after = pcall(cjson.decode, f[3] and f[3] ~= '' and f[3] or '[]')
  if not reads or type(after) ~= 'table' then return nil, refuse(REFUSAL.damaged, id) end
  for _, dependency in ipairs(after) do
    if type(dependency) ~= 'string' then return nil, refuse(REFUSAL.damaged, id) end
  end

  local open, ended, state = open_predecessors(after, decoded(f[9] or ''), with_ancestors(f[4]), id)
  if not open then return nil, refuse(REFUSAL.dependency_ended, ended .. ' ' .. state) end
  local to = #open > 0 and 'blocked' or 'ready'
  if from == 'held' and f[10] == 'acceptance' then close_questions(id, 'the task was retried') end
  wait_for(id, open)
  allow()
  redis.call('HSET', P .. 'task:' .. id, 'failures', 0, 'lost', 0)
  -- A person's retry allows the same budget again.
  local used = by_agent and {} or get(id, 'used_micro_usd', 'used_input_tokens', 'used_output_tokens')
  if used[1] or used[2] or used[3] then
    redis.call('HSET', P .. 'task:' .. id, 'allowed_usd', number(used[1]), 'allowed_tokens',
      string.format('%.0f', number(used[2]) + number(used[3])))
  end
  redis.call('HDEL', P .. 'task:' .. id, 'cause', 'code', 'reason', 'result')
  -- A dead letter that was removed has given its key back.
  if f[6] then redis.call('SET', P .. 'key:' .. f[6], id, 'NX') end
  if tonumber(f[7] or '') then set_deadline(id, now + f[7]) end
  if from ~= 'held' and f[4] then count_child(f[4], 1) end
  if from == 'held' and NEEDS_LOGIN[f[8]] then accept_login(f[2]) end
  move(id, from, to, f[2], nil, nil, reason)
  return from, to
end

local from, to = again(ARGV[1], ARGV[2], ARGV[3], ARGV[4] == '1')
if not from then return to end
local reply, retried, at = {from, to}, {}, 1
if not OPEN[from] and from ~= to then retried[1] = ARGV[1] end
while retried[at] do
  for _, dependent in ipairs(redis.pcall('SMEMBERS', P .. 'dependents:' .. retried[at])) do
    local f = get(dependent, 'state', 'code', 'unapproved')
    if (f[1] == 'cancelled' and f[2] == CODE.dependency_ended or f[1] == 'skipped') and not f[3]
      and again(dependent, 'the task that it waits for, ' .. with_key(retried[at]) .. ', was retried') then
      reply[#reply + 1] = dependent
      retried[#retried + 1] = dependent
    end
  end
  at = at + 1
end
return reply
