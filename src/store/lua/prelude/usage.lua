-- Part of the prelude of every transition: usage, budgets, and the roles that are suspended because of them.

local DAY = 86400000
local USED = {'input_tokens', 'output_tokens', 'micro_usd'}

-- No program uses more in one attempt: what says so is wrong, and would close the day's budget.
local MOST = {input_tokens = 1e12, output_tokens = 1e12, micro_usd = 1e10}

-- Whether a report of usage can be true. One that can't is recorded, and counts as none.
local function plausible(task, agent, usage)
  for _, name in ipairs(USED) do
    local amount = tonumber(usage[name]) or 0
    -- Also where it is not a number.
    if not (amount <= MOST[name]) then
      local what = name == 'micro_usd' and string.format('%.0f USD', amount / 1e6)
        or string.format('%.0f %s', amount, string.gsub(name, '_', ' '))
      event(EVENT.usage_refused, task, agent, nil, nil, 'a report of ' .. what .. ' is not counted: at most ' ..
        '10000 USD and 1e12 tokens are believed of one report')
      return false
    end
  end
  return true
end

-- Adds usage (a table with the fields of USED) to the sums in a record; `prefix` begins the names of its fields.
local function add_usage(key, prefix, usage)
  for _, name in ipairs(USED) do
    local amount = tonumber(usage[name]) or 0
    if amount > 0 then redis.pcall('HINCRBY', key, prefix .. name, string.format('%.0f', amount)) end
  end
end

-- Adds usage to the sums of the day: those of the role, of the agent, and of all.
local function spend_today(role, agent, usage)
  local day = P .. 'usage:' .. math.floor(now / DAY)
  -- Earlier releases counted a resumed conversation again: a day that one of them began has no such field.
  if redis.call('EXISTS', day) == 0 then redis.call('HSET', day, 'counts_resumes_once', '1') end
  add_usage(day, 'all:', usage)
  add_usage(day, 'role:' .. role .. ':', usage)
  add_usage(day, 'agent:' .. agent .. ':', usage)
  redis.call('PEXPIRE', day, 90 * DAY)
end

-- The usage of an attempt whose program reports totals of its conversation. `m` holds the conversation; total, what the
-- program reported; and before, what had been counted when the task was claimed, which its runner has subtracted. What
-- another report has added since then is subtracted here. A late report adds nothing that a later total contains.
local function of_conversation(id, usage, m, is_late)
  if type(m.before) ~= 'table' or type(m.total) ~= 'table' or type(m.conversation) ~= 'string' then return usage end
  local counted = decoded(get(id, 'counted')[1] or '')
  local is_same = counted.conversation == m.conversation
  -- A late report of a conversation that was given up.
  if is_late and counted.conversation and not is_same then return usage end
  local own, now_counted = {}, {conversation = m.conversation}
  for _, name in ipairs(USED) do
    local known, total = is_same and number(counted[name]) or 0, number(m.total[name])
    own[name] = math.max(0, number(usage[name]) - math.max(0, known - number(m.before[name])))
    now_counted[name] = is_late and math.max(known, total) or total
  end
  redis.call('HSET', P .. 'task:' .. id, 'counted', cjson.encode(now_counted))
  return own
end

-- Adds the usage of an attempt to its task, to each ancestor of the task, and to the day.
local function spend(id, role, agent, usage)
  if not plausible(id, agent, usage) then return end
  add_usage(P .. 'task:' .. id, 'used_', usage)
  local above, levels = id, 0
  while above and levels < 100 and get(above, 'state')[1] do
    add_usage(P .. 'task:' .. above, 'tree_', usage)
    above, levels = get(above, 'parent')[1], levels + 1
  end
  spend_today(role, agent, usage)
end

-- Whether more was used than a limit allows, in words: 'limits' and 'used' are {millionths of a dollar, tokens}.
local function beyond(limits, used, what)
  local usd, tokens = tonumber(limits[1] or ''), tonumber(limits[2] or '')
  if usd and used[1] >= usd then
    return string.format('%.2f USD of %.2f %s', used[1] / 1e6, usd / 1e6, what)
  end
  if tokens and used[2] >= tokens then return string.format('%.0f tokens of %.0f %s', used[2], tokens, what) end
end

-- Whether a task has used all that one of its role may; what a person has allowed it since counts from then on.
local function over_its_limit(id, role)
  local limits = redis.call('HMGET', P .. 'budgets', 'task_usd:' .. role, 'task_tokens:' .. role)
  if not limits[1] and not limits[2] then return nil end
  local f = get(id, 'used_micro_usd', 'used_input_tokens', 'used_output_tokens', 'allowed_usd', 'allowed_tokens')
  local used = {number(f[1]) - number(f[4]), number(f[2]) + number(f[3]) - number(f[5])}
  return beyond(limits, used, 'that a task of role ' .. role .. ' may use are used')
end

-- The record of the rate limit that a role shares with all of its account, and that account.
local function rate_of(role)
  local account = redis.call('HGET', P .. 'budgets', 'account:' .. role) or 'role ' .. role
  return P .. 'rate:' .. account, account
end

-- Codes of an end that only a login, or a key, mends.
local NEEDS_LOGIN = {[CODE.login_needed] = true, [CODE.key_withheld] = true}

-- A person says that a role's program is logged in. Whether that was needed.
local function accept_login(role)
  if redis.call('HDEL', P .. 'budgets', 'login:' .. role) == 0 then return false end
  for _ = 1, redis.call('SCARD', P .. 'idle:' .. role) do offer(role) end
  wake('supervisor')
  return true
end

-- How long a rate limit is remembered beyond its end, at least.
local LIMIT_REMEMBERED = 600000

-- Counts that an account has met a rate limit, and returns how many times in a row it has. What was started before the last
-- one ended met the same one: a whole fleet meets it together.
local function count_limit(limit, started_at)
  local l = redis.call('HMGET', limit, 'until', 'times')
  local times = number(l[2])
  if times == 0 or started_at >= number(l[1]) then
    times = times + 1
    redis.call('HSET', limit, 'times', times)
  end
  return times
end

-- Until when nothing of a role starts (0: until a person fixes it), why, whose rate limit it is where it is one, and the
-- code of the gate (model/gate.rs); nil where it may start.
local function suspended(role)
  local b = redis.call('HMGET', P .. 'budgets', 'account:' .. role, 'day_usd:' .. role, 'day_tokens:' .. role, 'day_usd:',
    'day_tokens:', 'unavailable:' .. role, 'login:' .. role)
  if b[6] then return 0, b[6], nil, 'program_missing' end
  if b[7] then return 0, b[7], nil, 'login_needed' end
  local limited = redis.call('HMGET', P .. 'rate:' .. (b[1] or 'role ' .. role), 'until', 'reason')
  local till = number(limited[1])
  if till > now and till <= now + RATE_LIMIT_LONGEST then return till, limited[2], b[1] or 'role ' .. role, 'rate_limited' end
  if not (b[2] or b[3] or b[4] or b[5]) then return nil end
  local today = math.floor(now / DAY)
  local function used(prefix)
    local u = redis.call('HMGET', P .. 'usage:' .. today, prefix .. 'micro_usd', prefix .. 'input_tokens',
      prefix .. 'output_tokens')
    return {number(u[1]), number(u[2]) + number(u[3])}
  end
  local midnight = (today + 1) * DAY
  local why = beyond({b[2], b[3]}, used('role:' .. role .. ':'), 'that role ' .. role .. ' may use a day are used')
  if why then return midnight, why, nil, 'budget_day' end
  why = beyond({b[4], b[5]}, used('all:'), 'that all roles together may use a day are used')
  if why then return midnight, why, nil, 'budget_total' end
end
