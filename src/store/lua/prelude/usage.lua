-- Part of the prelude of every transition: usage, logins and rate limits.

local DAY = 86400000
local USED = {'input_tokens', 'output_tokens', 'micro_usd'}

-- What is summed: the same, and how much of it is an estimate.
local SUMMED = {'input_tokens', 'output_tokens', 'micro_usd', 'estimated_micro_usd', 'estimated_tokens'}

-- No program uses more in one attempt: what says so is wrong, and would close the day's budget.
local MOST = {input_tokens = 1e12, output_tokens = 1e12, micro_usd = 1e10}

-- What a report of usage says that cannot be true, in words; nil where it can be.
local function unbelievable(usage)
  for _, name in ipairs(USED) do
    local amount = tonumber(usage[name]) or 0
    -- Also where it is not a number.
    if not (amount <= MOST[name]) then
      return name == 'micro_usd' and string.format('%.0f USD', amount / 1e6)
        or string.format('%.0f %s', amount, string.gsub(name, '_', ' '))
    end
  end
end

-- Whether a report of usage can be true. One that can't is recorded, and counts as none.
local function plausible(task, agent, usage)
  local what = unbelievable(usage)
  if not what then return true end
  event(EVENT.usage_refused, task, agent, nil, nil, 'a report of ' .. what .. ' is not counted: at most ' ..
    '10000 USD and 1e12 tokens are believed of one report')
  return false
end

-- Adds usage (a table with the fields of SUMMED) to the sums in a record; `prefix` begins the names of its fields. A `sign` of -1
-- takes it away again.
local function add_usage(key, prefix, usage, sign)
  for _, name in ipairs(SUMMED) do
    local amount = tonumber(usage[name]) or 0
    if amount > 0 then redis.pcall('HINCRBY', key, prefix .. name, string.format('%.0f', (sign or 1) * amount)) end
  end
end

-- Adds usage to the sums of the day (of that of `at`, in ms): those of the role, of the agent, and of all.
local function spend_today(role, agent, usage, sign, at)
  local day = P .. 'usage:' .. math.floor((at or now) / DAY)
  -- Earlier releases counted a resumed conversation again: a day that one of them began has no such field.
  if redis.call('EXISTS', day) == 0 then redis.call('HSET', day, 'counts_resumes_once', '1') end
  add_usage(day, 'all:', usage, sign)
  add_usage(day, 'role:' .. role .. ':', usage, sign)
  add_usage(day, 'agent:' .. agent .. ':', usage, sign)
  redis.call('PEXPIRE', day, 90 * DAY)
end

-- The fields of `counted` with what was estimated of a conversation, by what its next total has of that.
local OUTSTANDING = {micro_usd = 'outstanding_micro_usd', input_tokens = 'outstanding_tokens'}

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
    -- Of what was cut off before it was reported, an estimate was charged. A larger total has what was used.
    local field = OUTSTANDING[name]
    local estimated = is_same and field and number(counted[field]) or 0
    if estimated > 0 and total > known then
      own[name] = math.max(0, own[name] - estimated)
    elseif estimated > 0 then
      now_counted[field] = estimated
    end
  end
  redis.call('HSET', P .. 'task:' .. id, 'counted', cjson.encode(now_counted))
  return own
end

-- Adds the usage of an attempt to its task, to each ancestor of the task, to the plans that these are part of, and to the day.
-- Whether it can be true. `sign` and `at` are as for `spend_today`.
local function spend(id, role, agent, usage, sign, at)
  if not plausible(id, agent, usage) then return false end
  add_usage(P .. 'task:' .. id, 'used_', usage, sign)
  local above, levels, paid = id, 0, {}
  while above and levels < 100 do
    local f = get(above, 'state', 'parent', 'plan')
    if not f[1] then break end
    add_usage(P .. 'task:' .. above, 'tree_', usage, sign)
    -- One that an earlier release has accepted counts nothing.
    if f[3] and not paid[f[3]] and redis.call('HGET', P .. 'plan:' .. f[3], 'used_micro_usd') then
      add_usage(P .. 'plan:' .. f[3], 'used_', usage, sign)
      paid[f[3]] = true
    end
    above, levels = f[2], levels + 1
  end
  spend_today(role, agent, usage, sign, at)
  return true
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
