-- Part of the prelude of every transition: how the attempts of an account start when it may have reached a limit of its
-- service that nothing has met yet. A few attempts meet it first, and not a whole fleet.

-- An account of which nothing has started for so long (ms) may have reached a limit.
local AFTER_A_PAUSE = 600000

-- How many attempts then start immediately, and for how long (ms) further ones wait for what becomes of them.
local TRIAL_FIRST, TRIAL_TAKES = 2, 10000

-- The same when a limit has ended, as far as is known: it may have been another one's end.
local AFTER_LIMIT, AFTER_LIMIT_TAKES = 1, 30000

-- The trial of an account: when it began (ms; nil: there was none), and how many attempts have started in it.
local function trial_of(account)
  local began, starts = string.match(redis.call('GET', P .. 'trial:' .. account) or '', '^(%d+) (%d+)$')
  began = tonumber(began or '')
  -- One that lies ahead is of a clock that was set back.
  if not began or began > now then return nil, 0 end
  return began, tonumber(starts)
end

-- The conditions on the starts of an account (`b` as of budgets_of; `b.limited` is when its last limit ends or has ended, 0:
-- none is known): when its trial began, how many attempts have started and may start in it, and how long it takes; nil where
-- there are none.
local function trial_conditions(b)
  local limited = b.limited
  if limited > now then return nil end
  if limited > 0 then
    local began, starts = trial_of(b.account)
    if began and began < limited then began, starts = nil, 0 end
    return began, starts, AFTER_LIMIT, AFTER_LIMIT_TAKES
  end
  -- What sessions.toml says of an account counts alone.
  if b.slots or b.pace or not b.is_tried then return nil end
  local began, starts = trial_of(b.account)
  return began, starts, TRIAL_FIRST, TRIAL_TAKES
end

-- How many attempts of an account its trial leaves now (nil: any number), until when, and why.
local function left_of_trial(b)
  local began, starts, most, take = trial_conditions(b)
  if not most then return nil end
  if not began then return most end
  if began + take <= now then return nil end
  local why = b.limited > 0 and 'a limit of account ' .. b.account .. ' has ended: one attempt tries whether its service answers'
    or 'account ' .. b.account .. ' was not used for a while: ' .. most .. ' attempts try whether its service answers'
  return math.max(0, most - starts), began + take, why
end

-- Counts a start of an account.
local function count_in_trial(b)
  local began, starts, most, take = trial_conditions(b)
  if not most then return end
  if not began then
    began, starts = now, 1
  else
    starts = starts + 1
  end
  redis.call('SET', P .. 'trial:' .. b.account, string.format('%.0f %.0f', began, starts), 'PX', AFTER_A_PAUSE)
end

-- An attempt of a role that was started at `started_at` has succeeded, so its service has answered, if it has one: its account has
-- no limit, and no trial goes on.
local function end_trial(role, started_at)
  local limit, account = rate_of(role)
  local limited = number(redis.call('HGET', limit, 'until'))
  if limited > 0 and limited <= started_at then redis.call('DEL', limit) end
  if trial_of(account) then redis.call('SET', P .. 'trial:' .. account, '0 0', 'PX', AFTER_A_PAUSE) end
end
