-- Compares the shares of the slots of some roles with the tasks of these roles. It writes nothing.
-- KEYS: 1 prefix
-- ARGV: 1... roles
-- Returns: {role, share, what, what is recorded, what is so, ...} of what differs
local differs = {}
for _, role in ipairs(ARGV) do
  local key = P .. 'shares:' .. role
  local occupied, waits, queued = {}, {}, 0
  local function compare(share, what, recorded, so)
    if recorded ~= so then append(differs, role, share, what, tostring(recorded), tostring(so)) end
  end
  for _, id in ipairs(redis.call('SMEMBERS', P .. 'running:' .. role)) do
    local f = get(id, 'share', 'slot_at')
    local share = f[1] or '-'
    if f[2] then occupied[share] = (occupied[share] or 0) + 1 end
  end
  for _, priority in ipairs(PRIORITIES) do
    local turns = redis.call('ZRANGE', turns_of(role, priority), 0, -1, 'WITHSCORES')
    for i = 1, #turns, 2 do
      local share = turns[i]
      local ready = redis.call('ZCARD', queue_of(role, priority, share))
      local s = read_share(role, share)
      compare(share, 'its turn', tonumber(turns[i + 1]), tonumber(score_of(share, s.busy, s.used)))
      compare(share, 'whether it waits', true, ready > 0)
      compare(share, 'whether its ' .. priority .. ' tasks wait', string.find(s.waits, ' ' .. priority, 1, true) ~= nil, true)
      waits[share], queued = true, queued + ready
    end
  end
  local shares = redis.call('HGETALL', key)
  local recorded = {}
  for i = 1, #shares, 2 do recorded[shares[i]] = shares[i + 1] end
  if not recorded.mistrusted then
    compare('', 'the number of queued tasks', number(recorded.queued), queued)
    for field, value in pairs(recorded) do
      local share = string.match(field, '^busy:(.*)$')
      if share then
        compare(share, 'the number of its slots', number(value), occupied[share] or 0)
        occupied[share] = nil
        if number(value) == 0 then compare(share, 'whether it is known', true, waits[share] or false) end
      end
    end
    for share, slots in pairs(occupied) do compare(share, 'the number of its slots', 0, slots) end
  end
end
return differs
