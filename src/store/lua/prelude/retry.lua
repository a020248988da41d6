-- Part of the prelude of every transition: how long a task waits until its next attempt. It is computed here and
-- nowhere else, from the table of delays that is stored with the task (src/model/retry.rs). DEFAULT_DELAYS, JITTER and
-- RATE_LIMIT_DEFAULT stand above this text and are written from there.

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

-- The delay in ms after an attempt ended as `cause`. `counts` are those after it: failures, lost, and limited (attempts
-- in a row that met a rate limit). `after` (ms) is when the program asked to be tried again, or nil; `is_exact` says
-- that it is the user's own and knows what it asks for.
local function retry_delay(id, cause, counts, after, is_exact)
  local delays = delays_of(id)
  if cause == CAUSE.rate_limited then
    -- A limit that is still there when it should have ended was named wrongly, or clocks differ. It counts against no
    -- bound, so without a growing delay its task would be tried again every second for ever.
    local least = 0
    if counts.limited > 1 and not is_exact then
      least = math.min(entry(delays.failed, counts.limited - 1), RATE_LIMIT_DEFAULT)
    end
    return math.min(math.max(after or RATE_LIMIT_DEFAULT, least), DAY)
  end
  if after then return math.max(0, math.floor(after)) end
  local delay = cause == CAUSE.lost and entry(delays.lost, counts.lost) or entry(delays.failed, counts.failures)
  delay = delay * (1 + JITTER * (2 * fraction(id) - 1))
  return math.floor(math.min(delay, tonumber(delays.cap) or delay))
end
