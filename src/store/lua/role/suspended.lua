-- Returns which roles are suspended, and the number of notices. It writes nothing.
-- KEYS: 1 prefix
-- ARGV: 1... roles
-- Returns: {how many notices wait, role, until (ms; 0: until a person fixes it), why, whose rate limit it is or '', the code of the
--          gate, ...}
local reply = {redis.call('LLEN', P .. 'notices')}
for _, role in ipairs(ARGV) do
  local till, why, account, code = suspended(role)
  if till then
    reply[#reply + 1] = role
    reply[#reply + 1] = string.format('%.0f', till)
    reply[#reply + 1] = why or ''
    reply[#reply + 1] = account or ''
    reply[#reply + 1] = code
  end
end
return reply
