-- What an agent has used that has no task of its own, by its program's account of a whole conversation. What was not
-- counted of that before is added to the day; sent again, it adds nothing. Of a conversation that is not known yet, what was
-- used before the agent took it up is not its own: a person may resume one of last year.
-- KEYS: 1 prefix
-- ARGV: 1 agent, 2 role, 3 conversation, 4 all that was used in it so far (JSON of USED), 5 since the agent took it up (so)
-- Returns: '1' where something was added, else '0'
local agent, conversation, total, own = ARGV[1], ARGV[3], cjson.decode(ARGV[4]), cjson.decode(ARGV[5])
if not plausible(nil, agent, total) or not plausible(nil, agent, own) then return '0' end
local record, fields, more, added = P .. 'metered:' .. agent, {}, {}, '0'
for i, name in ipairs(USED) do fields[i] = conversation .. ':' .. name end
local counted = redis.call('HMGET', record, unpack(fields))
local is_known = counted[1] or counted[2] or counted[3]
for i, name in ipairs(USED) do
  local all = number(total[name])
  more[name] = is_known and all - number(counted[i]) or number(own[name])
  if more[name] > 0 then added = '1' end
  if more[name] > 0 or not is_known then redis.call('HSET', record, fields[i], string.format('%.0f', all)) end
end
if added == '0' and is_known then return added end
redis.call('PEXPIRE', record, 90 * DAY)
spend_today(ARGV[2], agent, more)
warn_of_day(ARGV[2])
return added
