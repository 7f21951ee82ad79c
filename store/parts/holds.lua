-- PARTS tally
-- Holds: scope -> JSON of what stops it, and until when; see worker/account/hold.py.

local function ends(hold)
  local at = cjson.decode(hold)['until']
  return at == 0 and math.huge or at
end

-- -> the holds in force: scope -> when they end; those that are over are taken away.
local function in_force()
  local held, entries = {}, redis.call('HGETALL', KEY.holds)
  for i = 1, #entries, 2 do
    local scope, at = entries[i], ends(entries[i + 1])
    if at > ARG.now then held[scope] = at else redis.call('HDEL', KEY.holds, scope) end
  end
  return held
end

-- Put something on hold; a hold gives way to one that lasts longer.
local function put_on_hold(scope, hold)
  local standing = redis.call('HGET', KEY.holds, scope)
  if standing and ends(standing) <= ARG.now then standing = nil end
  if not standing or ends(hold) > ends(standing) then redis.call('HSET', KEY.holds, scope, hold) end
  if not standing then count(Count.held .. string.match(scope, '^%a+')) end
end
