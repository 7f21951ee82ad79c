-- PARTS suppression
-- Move the row of a suppressed number under a former spelling to the person's. An entry of the same source and scope is
-- merged: the earlier beginning, the later end and the more occurrences count.
-- ARG   number
-- ->    'moved', 'merged' into an existing row, 'gone' (there is none, or its spelling is the present one), or
--       'unreadable' (either row: nothing is changed)
local person = spelling.present(ARG.number)
local from = redis.call('HGET', KEY.suppressed, ARG.number)
if not from or person == ARG.number then return Respelt.gone end
local entries, into = entries_in(from), decoded(person)
if not entries or not into then return Respelt.unreadable end

local function same_as(entry)
  for _, one in ipairs(into) do
    if one.source == entry.source and is_same(one.scope, entry.scope) then return one end
  end
end

local function merge(one, entry)
  local one_ends, entry_ends = one.expires or 0, entry.expires or 0
  one.first = math.min(one.first or entry.first or 0, entry.first or one.first or 0)
  one.last = math.max(one.last or 0, entry.last or 0)
  one.times = math.max(one.times or 1, entry.times or 1)
  one.needs = math.min(one.needs or 1, entry.needs or 1)
  one.expires = math.min(one_ends, entry_ends) > 0 and math.max(one_ends, entry_ends) or 0
  if (one.evidence or '') == '' then one.evidence = entry.evidence end
end

local result = #into > 0 and Respelt.merged or Respelt.moved
for _, entry in ipairs(entries) do
  local one = same_as(entry)
  if one then merge(one, entry) else into[#into + 1] = entry end
end
redis.call('HSET', KEY.suppressed, person, row_with(into))
redis.call('HDEL', KEY.suppressed, ARG.number)
return result
