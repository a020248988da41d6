-- Part of the prelude of every transition: patterns of paths in their normal form. src/model/pattern.rs says what they mean
-- and computes the same.

local function is_wild(part)
  return string.find(part, '*', 1, true)
end

-- The parts of a pattern; with a last '**' where it covers what is below it.
local function parts_of(pattern)
  if pattern == '.' then return {'**'} end
  local parts = {}
  for part in string.gmatch(pattern, '[^/]+') do parts[#parts + 1] = part end
  if not is_wild(parts[#parts]) then parts[#parts + 1] = '**' end
  return parts
end

-- The longest path without a wildcard that is part of everything a pattern covers; '' for the root.
local function node_of(pattern)
  if pattern == '.' then return '' end
  local star = is_wild(pattern)
  if not star then return pattern end
  return string.match(string.sub(pattern, 1, star - 1), '^(.*)/') or ''
end

-- Whether a part with a wildcard matches a name.
local function matches_name(part, name)
  local star = is_wild(part)
  local first = string.sub(part, 1, star - 1)
  if string.sub(name, 1, #first) ~= first then return false end
  local at, from = #first + 1, star + 1
  while true do
    star = string.find(part, '*', from, true)
    if not star then
      local last = string.sub(part, from)
      return #name - at + 1 >= #last and (last == '' or string.sub(name, -#last) == last)
    end
    local piece = string.sub(part, from, star - 1)
    local found = string.find(name, piece, at, true)
    if not found then return false end
    at, from = found + #piece, star + 1
  end
end

-- Whether some name is matched by both parts.
local function names_meet(one, other)
  if one == other then return true end
  if not is_wild(one) then return is_wild(other) and matches_name(other, one) end
  if not is_wild(other) then return matches_name(one, other) end
  -- Each has a '*' that takes what the other has in its middle: only the ends have to agree.
  local before, its_before = string.match(one, '^[^*]*'), string.match(other, '^[^*]*')
  local after, its_after = string.match(one, '[^*]*$'), string.match(other, '[^*]*$')
  local first, last = math.min(#before, #its_before), math.min(#after, #its_after)
  return string.sub(before, 1, first) == string.sub(its_before, 1, first)
    and (last == 0 or string.sub(after, -last) == string.sub(its_after, -last))
end

-- Whether some path is covered by both patterns, given by their parts. `row[j]` says whether the parts of one so far and the
-- first `j` of the other can be the same path.
local function patterns_meet(one, other)
  local row = {[0] = true}
  for j = 1, #other do row[j] = row[j - 1] and other[j] == '**' end
  for i = 1, #one do
    local part, next = one[i], {}
    next[0] = row[0] and part == '**'
    for j = 1, #other do
      if part == '**' or other[j] == '**' then
        next[j] = row[j] or next[j - 1]
      else
        next[j] = row[j - 1] and names_meet(part, other[j])
      end
    end
    row = next
  end
  return row[#other] and true or false
end
