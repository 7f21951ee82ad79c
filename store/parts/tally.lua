-- Tally: counts of a script, collected and written at its end.

local counted = {}
local function count(name, n) counted[name] = (counted[name] or 0) + (n or 1) end

-- The same for a family and a label, such as a lane; composed names are cached.
local composed = {}
local function count_of(family, label, n)
  local names = composed[family]
  if not names then
    names = {}
    composed[family] = names
  end
  local whole = names[label]
  if not whole then
    whole = family .. label
    names[label] = whole
  end
  counted[whole] = (counted[whole] or 0) + (n or 1)
end

-- Write the counts; the last call of a script that moves nothing. -> its reply
local function tallied(answer)
  for name, n in pairs(counted) do redis.call('HINCRBY', KEY.tally, name, n) end
  return answer
end
