-- Decides occurrences of a schedule, up to a mark: those that run begin to wait for it, and why the others do not is recorded.
-- KEYS: 1 prefix
-- ARGV: 1 schedule, 2 the mark from which it was decided, 3 the mark after it, 4 what was decided (JSON: waiting, a list of
--       {at, replaces}; skipped, a list of {from, to, count, reason}; drops, why those that wait already do not run)
-- Returns: 'ok'
-- Refuses: stale (another call has decided them)
local name, record = ARGV[1], P .. 'schedule:' .. ARGV[1]
if redis.call('HGET', record, 'mark') ~= ARGV[2] then return refuse(REFUSAL.stale, name) end
local step = cjson.decode(ARGV[4])
if step.drops then drop_waiting(name, step.drops) end
for _, one in ipairs(step.skipped) do
  note_occurrences(name, one.from, one.to, one.count, 'skipped', nil, one.reason)
end
for _, one in ipairs(step.waiting) do
  redis.call('RPUSH', P .. 'schedule_waiting:' .. name, cjson.encode(one))
end
redis.call('HSET', record, 'mark', ARGV[3])
return 'ok'
