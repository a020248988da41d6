-- Which locks of others an edit of some files collides with. It writes nothing.
-- KEYS: 1 prefix
-- ARGV: 1 the task whose program edits, or '' for the master, 2 the caller as its own locks name their owner, 3... paths
-- Returns: for each file that another one has locked: the path, and the entry of `locks`
local task, who = ARGV[1], ARGV[2]
-- What is reserved is not held yet.
local function counts(holder)
  local kind = string.sub(holder, 1, 1)
  return kind ~= '~' and not (kind == 'l' and redis.call('HGET', P .. 'lock:' .. holder, 'by') == who)
end
local found = {}
for i = 3, #ARGV do
  local entry = blocker(task, 'w', ARGV[i], counts)
  if entry then append(found, ARGV[i], entry) end
end
return found
