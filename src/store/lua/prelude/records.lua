-- Part of the prelude of every transition: how the attempts of each role have ended, by which tasks that name no role are
-- routed, and how such a task goes on to another role.

-- Ends that say something about the role.
local OWN_FAULT = {[CAUSE.transient] = true, [CAUSE.timeout] = true, [CAUSE.permanent] = true}

-- When a role has so many attempts, each of them counts half from then on: what happened long ago matters less and less.
local TRIES_KEPT = 100

-- An attempt of a role has ended. `micro_usd` is what it cost, 0 where that is not known.
local function record_try(role, cause, micro_usd)
  if cause ~= CAUSE.success and not OWN_FAULT[cause] then return end
  local record = P .. 'record:' .. role
  local tries = redis.call('HINCRBY', record, 'tries', 1)
  if cause == CAUSE.success then redis.call('HINCRBY', record, 'successes', 1) end
  if micro_usd > 0 then
    redis.call('HINCRBY', record, 'micro_usd', string.format('%.0f', micro_usd))
    redis.call('HINCRBY', record, 'priced', 1)
  end
  if tries >= TRIES_KEPT then
    for _, field in ipairs({'tries', 'successes', 'micro_usd', 'priced'}) do
      redis.call('HSET', record, field, string.format('%.0f', math.floor(number(redis.call('HGET', record, field)) / 2)))
    end
  end
end

-- The role to which a task goes on that has failed by the fault of its role, and those after that as they are stored; nil where
-- it names its role itself, or that was the last one.
local function next_tier(id)
  local tiers = decoded(get(id, 'tiers')[1] or '')
  if type(tiers[1]) ~= 'string' then return nil end
  local above = table.remove(tiers, 1)
  return above, #tiers > 0 and cjson.encode(tiers) or nil
end
