-- Tally: what happened is counted by a script, and written by its last act.

local counted = {}
local function count(name, n) counted[name] = (counted[name] or 0) + (n or 1) end

-- The same for a family and what stands behind it, such as a lane; a name that was put together once is kept.
local put_together = {}
local function count_of(family, which, n)
  local known_of = put_together[family]
  if not known_of then
    known_of = {}
    put_together[family] = known_of
  end
  local whole = known_of[which]
  if not whole then
    whole = family .. which
    known_of[which] = whole
  end
  counted[whole] = (counted[whole] or 0) + (n or 1)
end

-- Write what was counted; the last act of a script that moves nothing. -> its answer
local function tallied(answer)
  for name, n in pairs(counted) do redis.call('HINCRBY', KEY.tally, name, n) end
  return answer
end
