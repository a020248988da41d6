-- Returns which roles are suspended or may start only some attempts, and the number of notices. It writes nothing.
-- KEYS: 1 prefix
-- ARGV: 1... roles
-- Returns: {how many notices wait, role, until (ms; 0: until a person fixes it), why, whose rate limit it is or '', the code of the
--          gate, ...}; of a role that starts only some: role, how many attempts may start now, '', '', ''
local reply = {redis.call('LLEN', P .. 'notices')}
for _, role in ipairs(ARGV) do
  local b = budgets_of(role)
  local till, why, account, code = suspended(role, b)
  local room = not till and room_of(role, b)
  if room then
    append(reply, role, string.format('%.0f', room), '', '', '')
  elseif till then
    reply[#reply + 1] = role
    reply[#reply + 1] = string.format('%.0f', till)
    reply[#reply + 1] = why or ''
    reply[#reply + 1] = account or ''
    reply[#reply + 1] = code
  end
end
return reply
