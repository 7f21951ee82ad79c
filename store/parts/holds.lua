-- PARTS tally
-- Holds: scope -> JSON of code, cause, since, until and evidence; see worker/account/hold.py. A scope that ends in
-- @<producer> concerns the messages of this producer only ('-': those without a name).

local BY_HAND = 'by_hand'
local PROBE_MS = 60000  -- until the next probe, for holds that an older version stored

-- Return whether a hold is inferred from codes of single messages: of a sender or a prefix, and not set by a person.
local function is_inferred(scope, hold)
  return hold.code ~= BY_HAND and (string.find(scope, '^sender:') or string.find(scope, '^prefix:')) and true or false
end

-- -> the scope of a hold that concerns the messages of one producer only.
local function of_producer(scope, producer) return scope .. '@' .. (producer and producer ~= '' and producer or '-') end

-- -> when the next message may test an inferred hold.
local function probe_at(hold)
  local every = (hold.probe_ms or 0) > 0 and hold.probe_ms or PROBE_MS
  return math.max(hold.since, hold.probed_at or 0) + every
end

-- -> when a hold ends on its own.
local function ends(hold) return hold['until'] == 0 and math.huge or hold['until'] end

-- -> the holds in force: scope -> hold; expired holds are removed.
local function in_force()
  local held, entries = {}, redis.call('HGETALL', KEY.holds)
  for i = 1, #entries, 2 do
    local scope, hold = entries[i], cjson.decode(entries[i + 1])
    if ends(hold) > ARG.now then held[scope] = hold else redis.call('HDEL', KEY.holds, scope) end
  end
  return held
end

local function write_hold(scope, hold) redis.call('HSET', KEY.holds, scope, cjson.encode(hold)) end
