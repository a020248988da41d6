-- Releases locks of a person or of a running task.
-- KEYS: 1 prefix
-- ARGV: 1 a person's lock ('l-...'), or the task, 2 its incarnation and 3 its fence, both '' for a person, 4 the caller in
--       words, 5... patterns in their normal form; none for all
-- Returns: the patterns that were released
-- Refuses: stale (the attempt is over)
local holder = ARGV[1]
if ARGV[3] ~= '' then
  local f = get(holder, 'state', 'incarnation', 'fence')
  if f[1] ~= 'running' or f[2] ~= ARGV[2] or f[3] ~= ARGV[3] then return refuse(REFUSAL.stale, holder) end
end
local is_named = {}
for i = 5, #ARGV do is_named[ARGV[i]] = true end
local entries, patterns = {}, {}
for _, entry in ipairs(redis.call('HKEYS', P .. 'held:' .. holder)) do
  local _, pattern = read_entry(entry)
  if #ARGV < 5 or is_named[pattern] then append(entries, entry) append(patterns, pattern) end
end
if #entries == 0 then return {} end
release_locks(holder, entries)
if redis.call('EXISTS', P .. 'held:' .. holder) == 0 then
  redis.call('DEL', P .. 'lock:' .. holder)
  redis.call('ZREM', P .. 'lock_ends', holder)
  redis.call('SREM', P .. 'person_locks', holder)
end
event(EVENT.lock_released, ARGV[3] ~= '' and holder or nil, nil, nil, nil,
  ARGV[4] .. ' has released ' .. short(table.concat(patterns, ', '), 500))
return patterns
