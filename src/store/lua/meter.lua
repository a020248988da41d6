-- What an agent has used that has no task of its own, by its program's account of a whole conversation. What was not
-- counted of that before is added to the day; sent again, it adds nothing.
-- KEYS: 1 prefix
-- ARGV: 1 agent, 2 role, 3 conversation, 4 all that was used in it so far (JSON of USED)
-- Returns: '1' where something was added, else '0'
local agent, conversation, total, more = ARGV[1], ARGV[3], cjson.decode(ARGV[4]), {}
local record, added = P .. 'metered:' .. agent, '0'
for _, name in ipairs(USED) do
  local field = conversation .. ':' .. name
  more[name] = number(total[name]) - number(redis.call('HGET', record, field))
  if more[name] > 0 then
    redis.call('HSET', record, field, string.format('%.0f', number(total[name])))
    added = '1'
  end
end
if added == '0' then return added end
redis.call('PEXPIRE', record, 90 * DAY)
spend_today(ARGV[2], agent, more)
return added
