-- Part of the prelude of every transition: budgets, and what suspends a role. An attempt reserves what it is expected to use
-- when its task is claimed, and its end takes that back: what is used and what is reserved never exceed a cap at a claim.
--
-- Amounts are pairs: millionths of a dollar, and tokens.

-- The fields of sums, in the order of an amount.
local MEASURES = {'micro_usd', 'tokens'}

-- An attempt of a role of which nothing is known is expected to use this part of its smallest cap.
local SHARE_OF_UNKNOWN = 10

-- The next attempt of a role is expected to use no more than nine of ten of this many attempts before it.
local REMEMBERED = 50

-- An amount in words: of millionths of a dollar, or of tokens.
local function in_words(measure, amount)
  return measure == 1 and string.format('%.2f USD', amount / 1e6) or string.format('%.0f tokens', amount)
end

-- A cap: what a person has set comes before what sessions.toml says. 'none' is none.
local function cap_of(set, written)
  return tonumber(set or written or '')
end

-- The sums of a hash whose fields begin so.
local function sums(key, prefix)
  local u = redis.call('HMGET', key, prefix .. 'micro_usd', prefix .. 'input_tokens', prefix .. 'output_tokens')
  return {number(u[1]), number(u[2]) + number(u[3])}
end

-- What running attempts have reserved under a cap: `of` is 'all', 'role:<role>' or 'plan:<plan>'.
local function reserved_of(of)
  local r = redis.call('HMGET', P .. 'reserved', of .. ':micro_usd', of .. ':tokens')
  return {number(r[1]), number(r[2])}
end

-- Why an attempt that is expected to use that much does not start under a cap, and whether it does when running attempts
-- have ended; nil where it fits. `what` says whose cap it is.
local function lacks(caps, used, reserved, expected, what)
  local why
  for i = 1, 2 do
    local cap = caps[i]
    if cap and used[i] >= cap then
      local amount = i == 1 and string.format('%.2f USD of %.2f', used[1] / 1e6, cap / 1e6)
        or string.format('%.0f tokens of %.0f', used[2], cap)
      return amount .. ' ' .. what .. ' are used', false
    elseif cap and used[i] + reserved[i] + expected[i] > cap then
      local missing = used[i] + reserved[i] + expected[i] - cap
      local is_reserved = used[i] + expected[i] <= cap
      local text = in_words(i, used[i]) .. ' of ' .. in_words(i, cap) .. ' ' .. what .. ' are used'
      if reserved[i] > 0 then text = text .. ', running attempts have reserved ' .. in_words(i, reserved[i]) end
      text = text .. ', and the next attempt is expected to use ' .. in_words(i, expected[i]) .. ': '
        .. in_words(i, missing) .. ' missing'
      if not is_reserved then return text, false end
      why = text
    end
  end
  return why, why ~= nil
end

-- What an attempt is expected to use under these caps: what is known of it, or a share of the smallest cap; never more than
-- that cap, so that one attempt starts where nothing is used.
local function expected_under(known, ...)
  local amount = {}
  for i = 1, 2 do
    local least = math.huge
    for _, caps in ipairs({...}) do least = math.min(least, caps[i] or math.huge) end
    local expected = known[i] or least < math.huge and math.ceil(least / SHARE_OF_UNKNOWN) or 0
    amount[i] = math.min(expected, least)
  end
  return amount
end

-- What is recorded of a role's budgets: `account`, `unavailable` and `login`, the caps of its day (`own`), of the day of all roles
-- (`all`) and of one of its tasks (`task`), what its next attempt is expected to use (`expected`), how many attempts of its
-- account may run and of which roles these are (`slots`), how many may start in how many milliseconds (`pace`), and whether
-- a few try a service first (`is_tried`).
local function budgets_of(role)
  local b = redis.call('HMGET', P .. 'budgets', 'account:' .. role, 'unavailable:' .. role, 'login:' .. role,
    'day_usd:' .. role, 'day_tokens:' .. role, 'set_usd:' .. role, 'set_tokens:' .. role,
    'day_usd:', 'day_tokens:', 'set_usd:', 'set_tokens:',
    'learned_usd:' .. role, 'learned_tokens:' .. role, 'expected_usd:' .. role, 'expected_tokens:' .. role,
    'task_usd:' .. role, 'task_tokens:' .. role, 'slots:' .. role, 'pace:' .. role, 'tried:' .. role, 'window_use:' .. role)
  local own, all = {cap_of(b[6], b[4]), cap_of(b[7], b[5])}, {cap_of(b[10], b[8]), cap_of(b[11], b[9])}
  local known = {tonumber(b[12] or b[14] or ''), tonumber(b[13] or b[15] or '')}
  return {account = b[1] or 'role ' .. role, unavailable = b[2], login = b[3], own = own, all = all,
    slots = b[18], pace = b[19], is_tried = b[20], window_use = tonumber(b[21] or ''), known = known,
    task = {tonumber(b[16] or ''), tonumber(b[17] or '')}, expected = expected_under(known, own, all)}
end

-- How many more attempts of a role's account may run, and how many may; nil: any number. One that waits for its own subtasks
-- does not count: a hierarchy would block itself.
local function free_slots(b)
  local most, roles = string.match(b.slots or '', '^(%d+) (.*)$')
  if not most then return nil end
  local taken = 0
  for role in string.gmatch(roles, '%S+') do
    taken = taken + redis.call('SCARD', P .. 'running:' .. role) - redis.call('ZCOUNT', P .. 'waiting:' .. role, now, '+inf')
  end
  return math.max(0, most - taken), most
end

-- Starts of one account are spaced so that no more than `starts` are made in `per` milliseconds. `pace:<account>` is when its
-- starts would be used up evenly, in microseconds. Returns when the next one may be made (ms; now or earlier: now), the
-- value of `pace:<account>` after it, and the pace in words; nil: at any time.
local function next_start(b)
  local starts, per = string.match(b.pace or '', '^(%d+) (%d+)$')
  if not starts then return nil end
  local interval, burst = per * 1000 / starts, per * 1000
  local used_up = tonumber(redis.call('GET', P .. 'pace:' .. b.account) or '') or 0
  local current = now * 1000 + clock[2] % 1000
  -- One that lies further ahead is of a clock that was set back.
  if used_up < current or used_up > current + 2 * burst then used_up = current end
  local after = used_up + interval
  return math.ceil((after - burst) / 1000), after, starts .. ' per ' .. per / 1000 .. ' s'
end

-- Counts a start of an account that is not suspended.
local function count_start(b)
  count_in_trial(b)
  local _, after = next_start(b)
  if after then redis.call('SET', P .. 'pace:' .. b.account, string.format('%.0f', after), 'PX', 2 * DAY) end
end

-- When the window of an account ends of which more is used than the role may use (nil: none), and that in words.
local function full_window(b)
  if not b.window_use then return nil end
  local windows, till, why = redis.call('HGETALL', P .. 'windows:' .. b.account), nil, nil
  for i = 1, #windows, 2 do
    local window = decoded(windows[i + 1])
    local ends, used = tonumber(window.resets_at) or 0, tonumber(window.used) or window.is_full == true and 1 or 0
    if ends > now and ends <= now + RATE_LIMIT_LONGEST and used >= b.window_use and ends > (till or 0) then
      till = ends
      why = string.format('%.0f %% of the window %s of account %s are used, and max_window_use allows %.0f %%',
        100 * used, windows[i], b.account, 100 * b.window_use)
    end
  end
  return till, why
end

-- Until when nothing of a role starts (0: until that changes), why, whose rate limit it is where it is one, and the code of
-- the gate (model/gate.rs); nil where it may start. Call it before room_of and count_start.
local function suspended(role, b)
  if b.unavailable then return 0, b.unavailable, nil, 'program_missing' end
  if b.login then return 0, b.login, nil, 'login_needed' end
  local limited = redis.call('HMGET', P .. 'rate:' .. b.account, 'until', 'reason')
  local till = number(limited[1])
  b.limited = till
  if till > now and till <= now + RATE_LIMIT_LONGEST then return till, limited[2], b.account, 'rate_limited' end
  local window, full = full_window(b)
  if window then return window, full, nil, 'account_window' end
  local today = math.floor(now / DAY)
  local waits
  local function short(caps, of, what, code)
    if not (caps[1] or caps[2]) then return nil end
    local why, is_reserved = lacks(caps, sums(P .. 'usage:' .. today, of .. ':'), reserved_of(of), b.expected, what)
    -- What ends at midnight outlasts what running attempts have reserved.
    if is_reserved then waits = waits or why else return why, code end
  end
  local why, code = short(b.own, 'role:' .. role, 'that role ' .. role .. ' may use a day', 'budget_day')
  if not why then why, code = short(b.all, 'all', 'that all roles together may use a day', 'budget_total') end
  if why then return (today + 1) * DAY, why, nil, code end
  if waits then return 0, waits, nil, 'budget_reserved' end
  local free, most = free_slots(b)
  if free == 0 then
    return 0, 'as many attempts of account ' .. b.account .. ' run as max_concurrent allows: ' .. most, nil, 'account_slots'
  end
  local start, _, pace = next_start(b)
  if start and start > now then
    return start, 'account ' .. b.account .. ' starts no more than rate_limit allows: ' .. pace, nil, 'start_rate'
  end
  local left, ends_at, trial = left_of_trial(b)
  if left == 0 then return ends_at, trial, nil, 'start_rate' end
end

-- How many attempts of a role may start now by its account and its budgets; nil: any number.
local function room_of(role, b)
  local room = free_slots(b)
  local left = left_of_trial(b)
  if left then room = math.min(room or left, left) end
  local day = P .. 'usage:' .. math.floor(now / DAY)
  for of, caps in pairs({['role:' .. role] = b.own, all = b.all}) do
    if caps[1] or caps[2] then
      local used, reserved = sums(day, of .. ':'), reserved_of(of)
      for i = 1, 2 do
        if caps[i] and b.expected[i] > 0 then
          local fits = math.max(0, math.floor((caps[i] - used[i] - reserved[i]) / b.expected[i]))
          room = math.min(room or fits, fits)
        end
      end
    end
  end
  return room
end

-- What a task may use itself: its own cap before that of its role.
local function caps_of_task(own_usd, own_tokens, of_role)
  local usd = tonumber(own_usd or '')
  return {usd and math.floor(usd * 1e6 + 0.5) or of_role[1], tonumber(own_tokens or '') or of_role[2]}
end

-- What a task has used since a person retried it: that allows it the same again.
local function used_of_task(id)
  local f = get(id, 'used_micro_usd', 'used_input_tokens', 'used_output_tokens', 'allowed_usd', 'allowed_tokens')
  return {number(f[1]) - number(f[4]), number(f[2]) + number(f[3]) - number(f[5])}
end

-- What of these caps a task has left, as an amount (nil: any).
local function left_of(id, caps)
  local used = used_of_task(id)
  return {caps[1] and caps[1] - used[1], caps[2] and caps[2] - used[2]}
end

-- What of its cap a task has left, and why it may start no further attempt, where it may not.
local function left_of_task(id, of_role)
  local f = get(id, 'max_cost_usd', 'max_tokens', 'role')
  local caps = caps_of_task(f[1], f[2], of_role)
  if not caps[1] and not caps[2] then return {} end
  local used = used_of_task(id)
  local whose = (f[1] or f[2]) and 'that this task may use' or 'that a task of role ' .. (f[3] or '') .. ' may use'
  return left_of(id, caps), lacks(caps, used, {0, 0}, {0, 0}, whose)
end

-- The command with which a person allows a task as much again as it may use (`more_for_task` in src/model/budget.rs).
local function ask_for_more(id, of_role)
  local caps = caps_of_task(get(id, 'max_cost_usd')[1], get(id, 'max_tokens')[1], of_role)
  local text = 'orch approve ' .. id
  if caps[1] then text = text .. ' --budget +' .. string.format('%.2f', caps[1] / 1e6) end
  if caps[2] then text = text .. ' --tokens +' .. string.format('%.0f', caps[2]) end
  return text
end

-- Why a task may start no further attempt, where it has used what it may.
local function over_its_limit(id, role)
  local _, why = left_of_task(id, budgets_of(role).task)
  return why
end

-- Adds to what is reserved under the caps of an attempt, or takes it back. `plans` pay for it, separated by commas. A record that
-- Redis has lost leaves nothing below 0.
local function count_reserved(role, plans, amount, sign)
  local under = {'all', 'role:' .. role}
  for plan in string.gmatch(plans, '[^,]+') do append(under, 'plan:' .. plan) end
  for _, of in ipairs(under) do
    for i, measure in ipairs(MEASURES) do
      if amount[i] > 0 then
        local field = of .. ':' .. measure
        if redis.call('HINCRBY', P .. 'reserved', field, string.format('%.0f', sign * amount[i])) <= 0 then
          redis.call('HDEL', P .. 'reserved', field)
        end
      end
    end
  end
end

-- Reserves what an attempt that starts now is expected to use, and no more than its task has left. Returns fields and values
-- for its record.
local function reserve(role, plans, expected, left)
  local amount = {math.min(expected[1], left[1] or math.huge), math.min(expected[2], left[2] or math.huge)}
  if amount[1] <= 0 and amount[2] <= 0 then return {} end
  plans = table.concat(plans, ',')
  count_reserved(role, plans, amount, 1)
  return {'reserves', string.format('%.0f %.0f %s %s', amount[1], amount[2], role, plans)}
end

-- There is more room: roles whose agents were refused a task for want of it look again.
local function offer_to_waiting()
  local waiting = redis.call('SMEMBERS', P .. 'short_of_room')
  if #waiting == 0 then return end
  redis.call('DEL', P .. 'short_of_room')
  for _, role in ipairs(waiting) do offer(role) end
  wake('supervisor')
end

-- An attempt has ended: takes back what it had reserved. Returns the plans that have more room now.
local function release_reserved(reserves)
  local usd, tokens, role, plans = string.match(reserves, '^(%d+) (%d+) (%S+) (%S*)$')
  if not usd then return end
  count_reserved(role, plans, {tonumber(usd), tonumber(tokens)}, -1)
  return plans
end

-- A running attempt has used that much: it has reserved only the rest of what it is expected to use.
local function lower_reserved(id, used)
  local usd, tokens, role, plans = string.match(get(id, 'reserves')[1] or '', '^(%d+) (%d+) (%S+) (%S*)$')
  if not usd then return end
  local less = {math.min(tonumber(usd), used[1]), math.min(tonumber(tokens), used[2])}
  if less[1] <= 0 and less[2] <= 0 then return end
  count_reserved(role, plans, less, -1)
  redis.call('HSET', P .. 'task:' .. id, 'reserves',
    string.format('%.0f %.0f %s %s', usd - less[1], tokens - less[2], role, plans))
end

-- Counts again what running attempts have reserved, where a record of one was lost.
local function recount_reserved()
  redis.call('DEL', P .. 'reserved')
  for _, id in ipairs(redis.call('ZRANGE', P .. 'state:running', 0, -1)) do
    local usd, tokens, role, plans = string.match(get(id, 'reserves')[1] or '', '^(%d+) (%d+) (%S+) (%S*)$')
    if usd then count_reserved(role, plans, {tonumber(usd), tonumber(tokens)}, 1) end
  end
end

-- A person is told once when this part of a cap is used.
local NEARLY = 0.8

-- Whether a cap was used up to NEARLY; returns it in words.
local function nearly(caps, used)
  for i = 1, 2 do
    if caps[i] and used[i] >= NEARLY * caps[i] then
      return string.format('%.0f %% of a budget are used: ', 100 * used[i] / caps[i]) .. in_words(i, used[i]) .. ' of '
        .. in_words(i, caps[i])
    end
  end
end

-- Something was used: warns once a day for each cap of a day that is nearly used up.
local function warn_of_day(role)
  local b = budgets_of(role)
  local today = math.floor(now / DAY)
  local function warn(caps, of, whose)
    if not (caps[1] or caps[2]) then return end
    local what = nearly(caps, sums(P .. 'usage:' .. today, of .. ':'))
    if what and redis.call('SADD', P .. 'warned:' .. today, of) == 1 then
      redis.call('PEXPIRE', P .. 'warned:' .. today, 2 * DAY)
      what = what .. ' ' .. whose .. ' may use a day'
      event(EVENT.budget_warning, nil, nil, nil, nil, what)
      notice({what = 'budget', text = what})
    end
  end
  warn(b.own, 'role:' .. role, 'that role ' .. role)
  warn(b.all, 'all', 'that all roles together')
end

-- The same of a task, once per cap.
local function warn_of_task(id, role)
  local f = get(id, 'max_cost_usd', 'max_tokens', 'warned')
  local what = not f[3] and nearly(caps_of_task(f[1], f[2], budgets_of(role).task), used_of_task(id))
  if not what then return end
  redis.call('HSET', P .. 'task:' .. id, 'warned', '1')
  event(EVENT.budget_warning, id, nil, nil, nil, what .. ' that it may use')
end

-- Ends after which what an attempt has used says something about the next one: it was not cut short.
local LEARNS_FROM = {[CAUSE.success] = true, [CAUSE.transient] = true, [CAUSE.permanent] = true, [CAUSE.timeout] = true,
  [CAUSE.needs_person] = true}

-- Remembers what an attempt of a role has used in how long (ms): the estimate of the next one.
local function learn(role, amount, ms)
  local list = P .. 'costs:' .. role
  redis.call('RPUSH', list, string.format('%.0f %.0f %.0f', amount[1], amount[2], ms))
  redis.call('LTRIM', list, -REMEMBERED, -1)
  local known = {{}, {}}
  for _, text in ipairs(redis.call('LRANGE', list, 0, -1)) do
    local usd, tokens = string.match(text, '^(%d+) (%d+)')
    append(known[1], number(usd))
    append(known[2], number(tokens))
  end
  for i, field in ipairs({'learned_usd:', 'learned_tokens:'}) do
    table.sort(known[i])
    redis.call('HSET', P .. 'budgets', field .. role, string.format('%.0f', known[i][math.ceil(#known[i] * 0.9)]))
  end
end

-- What the remembered attempts of a role have used together: `times`, `usd` and `tokens`; of those whose time is known, `ms` and what
-- they have used in it (`timed`); and the most that one of them has (`most`).
local function remembered(role)
  local known = {times = 0, usd = 0, tokens = 0, ms = 0, timed = {0, 0}, most = {0, 0}}
  for _, text in ipairs(redis.call('LRANGE', P .. 'costs:' .. role, 0, -1)) do
    local usd, tokens, ms = string.match(text, '^(%d+) (%d+) ?(%d*)$')
    if usd then
      local amount = {tonumber(usd), tonumber(tokens)}
      known.times, known.usd, known.tokens = known.times + 1, known.usd + amount[1], known.tokens + amount[2]
      for i = 1, 2 do
        known.most[i] = math.max(known.most[i], amount[i])
        if ms ~= '' then known.timed[i] = known.timed[i] + amount[i] end
      end
      known.ms = known.ms + number(ms ~= '' and ms or '0')
    end
  end
  return known
end
