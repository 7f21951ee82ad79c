-- PARTS tally
-- Holds: scope -> JSON of cause, since and until; see worker/account/hold.py.

local function ends(hold)
  local at = cjson.decode(hold)['until']
  return at == 0 and math.huge or at
end

-- -> the holds in force: scope -> when they end; expired holds are removed.
local function in_force()
  local held, entries = {}, redis.call('HGETALL', KEY.holds)
  for i = 1, #entries, 2 do
    local scope, at = entries[i], ends(entries[i + 1])
    if at > ARG.now then held[scope] = at else redis.call('HDEL', KEY.holds, scope) end
  end
  return held
end

-- Put a scope on hold; the hold that lasts longer replaces the other.
local function put_on_hold(scope, hold)
  local current = redis.call('HGET', KEY.holds, scope)
  if current and ends(current) <= ARG.now then current = nil end
  if not current or ends(hold) > ends(current) then redis.call('HSET', KEY.holds, scope, hold) end
  if not current then count(Count.held .. string.match(scope, '^%a+')) end
end
