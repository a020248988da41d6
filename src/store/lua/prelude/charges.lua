-- Part of the prelude of every transition: what an attempt is charged, while it runs and when it ends.
--
-- `live` of a running task (JSON) has what was charged of its attempt so far (`usage`), and the totals of its conversation that this
-- was computed from (`metered`, as for `of_conversation`). The end of the attempt charges the rest, and never less.

-- Where nothing is known of a role, an attempt that runs this long (ms) is expected to use all that it has reserved.
local TYPICAL = 600000

-- Causes with which an attempt was cut off: its program may have had no time to report what it has used.
local CUT_OFF = {[CAUSE.cancelled] = true, [CAUSE.timeout] = true, [CAUSE.deadline] = true, [CAUSE.lost] = true}

-- The same of other causes; and codes of an attempt that has used nothing.
local CUT_OFF_BY = {[CODE.over_budget] = true, [CODE.person_timeout] = true}
local USED_NOTHING = {[CODE.spawn_failed] = true, [CODE.program_missing] = true, [CODE.folder_missing] = true}

-- The larger of two reports, field by field.
local function larger_of(one, other)
  local larger = {}
  for _, name in ipairs(SUMMED) do
    local amount = math.max(number(one[name]), number(other[name]))
    if amount > 0 or name ~= 'estimated_micro_usd' and name ~= 'estimated_tokens' then larger[name] = amount end
  end
  return larger
end

-- A report of usage (JSON), or nil. No program says what is an estimate.
local function report_of(text)
  if text == '' then return nil end
  local report = decoded(text)
  report.estimated_micro_usd, report.estimated_tokens = nil, nil
  return report
end

-- What one report has more than another, field by field, and whether that is anything.
local function beyond(one, other)
  local more, is_some = {}, false
  for _, name in ipairs(SUMMED) do
    more[name] = math.max(0, number(one[name]) - number(other[name]))
    is_some = is_some or more[name] > 0
  end
  return more, is_some
end

-- Charges what the program of a running attempt has reported so far, and takes that off what the attempt has reserved.
local function charge_live(id, role, agent, live, report)
  local charged = live.usage or {}
  -- What cannot be true is recorded once, at the end of the attempt.
  if type(report.usage) ~= 'table' or unbelievable(report.usage) then return end
  report.usage.estimated_micro_usd, report.usage.estimated_tokens = nil, nil
  local usage = larger_of(report.usage, charged)
  local more, is_some = beyond(usage, charged)
  if not is_some then return end
  spend(id, role, agent, more)
  redis.call('HSET', P .. 'task:' .. id, 'live', cjson.encode({usage = usage, metered = report.metered}))
  lower_reserved(id, {more.micro_usd, more.input_tokens + more.output_tokens})
  warn_of_day(role)
  warn_of_task(id, role)
  warn_of_plans(id)
end

-- What an attempt is expected to have used that was cut off before its program reported that: of millionths of a dollar by its
-- tokens at the price of the role's earlier attempts; else by its time, as they have used in theirs, or in proportion to what it has
-- reserved. Returns millionths of a dollar and tokens.
local function estimate(id, role, cause, code, used)
  if cause == CAUSE.success or USED_NOTHING[code] then return 0, 0 end
  local tokens = used.input_tokens + used.output_tokens
  local known, reports = remembered(role), redis.call('HGET', P .. 'budgets', 'reports:' .. role) or ''
  local reserved = {string.match(get(id, 'reserves')[1] or '', '^(%d+) (%d+)')}
  local ran = math.max(0, now - (tonumber(last_attempt(id).started_at) or now))
  local function by_time(measure)
    if not (CUT_OFF[cause] or CUT_OFF_BY[code]) then return 0 end
    local most = number(reserved[measure])
    if known.ms > 0 then return math.min(known.timed[measure] / known.ms * ran, math.max(most, known.most[measure])) end
    if known.times > 0 or not string.find(reports, measure == 1 and 'money' or 'tokens', 1, true) then return 0 end
    return math.min(1, ran / TYPICAL) * most
  end
  local usd = 0
  if used.micro_usd == 0 then
    if tokens > 0 and known.tokens > 0 then
      usd = known.usd / known.tokens * tokens
    else
      usd = by_time(1)
    end
  end
  return math.ceil(usd), tokens == 0 and math.ceil(by_time(2)) or 0
end

-- Adds an estimate to what was counted of a conversation whose program reports totals: its next total has what was used.
local function remember_estimate(id, conversation, usd, tokens)
  local counted = decoded(get(id, 'counted')[1] or '')
  if counted.conversation ~= conversation then return end
  counted.outstanding_micro_usd = number(counted.outstanding_micro_usd) + usd
  counted.outstanding_tokens = number(counted.outstanding_tokens) + tokens
  redis.call('HSET', P .. 'task:' .. id, 'counted', cjson.encode(counted))
end

-- Charges what an attempt has used that ends now: what its program has reported, at least what was charged while it ran, and an
-- estimate of what it was cut off before it could report. `reported` (JSON) and `metered` (JSON) are as for `end_attempt`.
-- Returns that, or nil where nothing is known; and whether it says what such an attempt uses.
local function charge_end(id, role, agent, cause, code, reported, metered)
  local live = decoded(get(id, 'live')[1] or '')
  local charged = live.usage or {}
  local said = report_of(reported)
  if said and not plausible(id, agent, said) then return charged, false end
  local m = metered ~= '' and decoded(metered) or live.metered
  local used = said or live.usage
  if used and type(m) == 'table' then used = of_conversation(id, used, m, false) end
  local has_used = used ~= nil
  used = larger_of(used or {}, charged)
  local usd, tokens = estimate(id, role, cause, code, used)
  if usd > 0 or tokens > 0 then
    used.micro_usd, used.input_tokens = used.micro_usd + usd, used.input_tokens + tokens
    used.estimated_micro_usd, used.estimated_tokens = usd > 0 and usd or nil, tokens > 0 and tokens or nil
    if type(m) == 'table' and type(m.conversation) == 'string' then remember_estimate(id, m.conversation, usd, tokens) end
  elseif not has_used then
    return nil, false
  end
  spend(id, role, agent, (beyond(used, charged)))
  return used, said ~= nil and usd == 0 and tokens == 0
end

-- A report of an attempt that was ended without it: charges what it has more than was charged, and in the place of an estimate.
local function charge_late(id, at, attempt, agent, reported, metered)
  local charged, said = decoded(attempt.usage or ''), report_of(reported)
  if not plausible(id, agent, said) then return end
  local own, role = of_conversation(id, said, decoded(metered), true), get(id, 'role')[1] or ''
  local known = larger_of(charged, {})
  if number(own.micro_usd) > 0 then
    known.micro_usd, known.estimated_micro_usd = known.micro_usd - number(known.estimated_micro_usd), nil
  end
  if number(own.input_tokens) + number(own.output_tokens) > 0 then
    known.input_tokens, known.estimated_tokens = known.input_tokens - number(known.estimated_tokens), nil
  end
  local used = larger_of(own, known)
  local more, is_more = beyond(used, charged)
  local less, is_less = beyond(charged, used)
  if attempt.usage and not is_more and not is_less then return end
  attempt.usage = cjson.encode(used)
  redis.call('LSET', P .. 'attempts:' .. id, at, cjson.encode(attempt))
  spend(id, role, agent, more)
  -- From the day to which the estimate was charged.
  if is_less then spend(id, role, agent, less, -1, tonumber(attempt.ended_at)) end
end
