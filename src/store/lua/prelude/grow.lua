-- Part of the prelude of the transitions of plans: accepted tasks of a plan become tasks, some in each call.

-- How many in one call: Redis serves no other caller meanwhile.
local GROWN_AT_ONCE = 50
-- How many are read at once: Lua passes no more than some thousand arguments.
local READ_AT_ONCE = 500

-- Makes further ones of a plan's accepted tasks, in their order, in which each comes after those before it. Returns how many
-- are left.
local function grow(plan, at_most)
  local record, staged = P .. 'plan:' .. plan, P .. 'staged:' .. plan
  local f = redis.call('HMGET', record, 'made', 'total', 'by', 'depth', 'parent')
  local made, total = number(f[1]), number(f[2])
  local above = with_ancestors(f[5])
  local last = math.min(total, made + at_most)
  while made < last do
    local places = {}
    for at = made + 1, math.min(last, made + READ_AT_ONCE) do places[#places + 1] = at end
    for _, text in ipairs(redis.call('HMGET', staged, unpack(places))) do
      local item = decoded(text or '')
      local spec = item.spec
      if spec then
        spec.depth = number(f[4])
        local open, first, its_state, outcome = open_predecessors(spec.after, decoded(spec.edges or ''), above)
        accept(item.id, spec, nil, item.text, item.context, open or {first}, 'planned by ' .. (f[3] or ''), spec.escalation)
        redis.call('HSET', P .. 'plan_tasks:' .. plan, item.key, item.id)
        if outcome == 'skip' then
          skip(item.id, 'it is not needed, because ' .. with_key(first) .. ' ended as ' .. its_state)
        elseif outcome then
          cancel(item.id, 'it waited for ' .. with_key(first) .. ', which ended as ' .. its_state, CODE.dependency_ended)
        end
      end
      made = made + 1
      redis.call('HSET', record, 'made', made)
    end
    redis.call('HDEL', staged, unpack(places))
  end
  if made == total then
    redis.call('DEL', staged)
    redis.call('SREM', P .. 'growing', plan)
  end
  touched[plan] = true
  judge_plans()
  return total - made
end

-- Accepts a plan whose tasks are staged, `terms.total` of them, which `grow` makes. `by` is the caller in words.
local function accept_plan(plan, terms, depth, by)
  local record = P .. 'plan:' .. plan
  -- Accepted, they stay until they are made: ten years.
  redis.call('PEXPIRE', P .. 'staged:' .. plan, 315360000000)
  local fields = {'state', 'running', 'since', now, 'created_at', now, 'name', terms.name, 'text', terms.text, 'by', by,
    'total', terms.total, 'made', 0, 'depth', depth, 'used_micro_usd', 0}
  if terms.max_cost_micro_usd then append(fields, 'cap_micro_usd', string.format('%.0f', terms.max_cost_micro_usd)) end
  if terms.max_tokens then append(fields, 'cap_tokens', string.format('%.0f', terms.max_tokens)) end
  if terms.parent then append(fields, 'parent', terms.parent) end
  if terms.notify then append(fields, 'notify', terms.notify) end
  if terms.key then
    append(fields, 'key', terms.key, 'digest', terms.digest)
    redis.call('SET', P .. 'plan_key:' .. terms.key, plan)
  end
  redis.call('HSET', record, unpack(fields))
  if terms.weight then redis.call('HSET', P .. 'weights', plan, terms.weight) end
  redis.call('ZADD', P .. 'plans', redis.call('INCR', P .. 'seq'), plan)
  redis.call('SADD', P .. 'growing', plan)
  event(EVENT.plan_running, nil, nil, nil, 'running', 'plan ' .. terms.name .. ' with ' .. terms.total .. ' tasks was submitted by ' .. by,
    cjson.encode({plan = plan}))
end
