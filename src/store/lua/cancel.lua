-- Cancels tasks, and with each its open subtasks.
-- KEYS: 1 prefix
-- ARGV: 1 reason, 2... ids
-- Returns: for each id its state afterwards; 'running' means that its agent was told to stop, '' that there is none
local states = {}
for i = 2, #ARGV do states[#states + 1] = cancel(ARGV[i], ARGV[1]) or '' end
return states
