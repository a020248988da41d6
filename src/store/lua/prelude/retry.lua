-- Part of the prelude of every transition: how long a task waits until its next attempt. It is computed here and
-- nowhere else, from the table of delays that is stored with the task (src/model/retry.rs). DEFAULT_DELAYS, JITTER and
-- RATE_LIMIT_... stand above this text and are written from there.

-- Entry `n` of a table of delays, or its last one.
local function entry(delays, n)
  return tonumber(delays[math.max(1, math.min(n, #delays))]) or 0
end

-- The delays of a task; those of the default policy where it has none that read.
local function delays_of(id)
  local delays = decoded(get(id, 'delays_ms')[1] or '')
  if type(delays.failed) ~= 'table' or type(delays.lost) ~= 'table' then delays = cjson.decode(DEFAULT_DELAYS) end
  return delays
end

-- A number from 0 to 1 that is fixed for each attempt, so that a repeated call gets the same delay, and
-- differs from task to task, so that tasks that failed together are not tried again together.
local function fraction(id)
  local attempt = get(id, 'number')[1] or '0'
  return tonumber(string.sub(redis.sha1hex(id .. ':' .. attempt), 1, 6), 16) / 0xffffff
end

-- The delay in ms after an attempt ended as `cause`. `counts` are those after it: failures, lost, and limited (how many
-- times in a row its task, or its account, has met a rate limit). `after` (ms) is when the program asked to be tried again, or nil; `is_exact` says
-- that it is the user's own and knows what it asks for.
local function retry_delay(id, cause, counts, after, is_exact)
  local delays = delays_of(id)
  if cause == CAUSE.rate_limited then
    local repeated = math.min(counts.limited - 1, 20)
    if not after then return math.min(RATE_LIMIT_DEFAULT * 2 ^ repeated, RATE_LIMIT_MOST) end
    -- No service has said that.
    if after > RATE_LIMIT_LONGEST then return DAY end
    -- A limit that is still there when it should have ended was named wrongly, or clocks differ. It counts against no
    -- bound, so without a growing delay its task would be tried again every second for ever.
    local least = 0
    if repeated > 0 and not is_exact then
      least = math.min(math.max(entry(delays.failed, repeated), 1000 * 2 ^ (repeated - 1)), RATE_LIMIT_MOST)
    end
    return math.max(after, least)
  end
  if after then return math.max(0, math.floor(after)) end
  local delay = cause == CAUSE.lost and entry(delays.lost, counts.lost) or entry(delays.failed, counts.failures)
  delay = delay * (1 + JITTER * (2 * fraction(id) - 1))
  return math.floor(math.min(delay, tonumber(delays.cap) or delay))
end
