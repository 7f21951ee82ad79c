-- PARTS tally, rows
-- Holds: scope -> JSON of code, cause, since, until and evidence; see worker/account/hold.py. A scope that ends in
-- @<producer> concerns the messages of this producer only ('-': those without a name).

local BY_HAND = 'by_hand'
local DAMAGED = 'damaged_row'  -- the code of an unreadable hold: it holds its scope until a person lifts it
local PROBE_MS = 60000  -- until the next probe, for holds that an older version stored

-- Return whether a hold is inferred from codes of single messages: of a sender or a prefix, and not set by a person.
local function is_inferred(scope, hold)
  if hold.code == BY_HAND or hold.code == DAMAGED then return false end
  return (string.find(scope, '^sender:') or string.find(scope, '^prefix:')) and true or false
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

local MOST_NUMBER = 9007199254740992  -- 2^53

local function is_number(value) return type(value) == 'number' and value > -MOST_NUMBER and value < MOST_NUMBER end

-- -> a stored hold. An unreadable one holds its scope, as by hand; nil for what workers write again as long as it is so:
--    the row of a breaker, or of refused credentials. Each claim reads all holds, so each field is checked on its own.
local function hold_of(scope, text)
  local is_read, hold = pcall(cjson.decode, text)
  if is_read and type(hold) == 'table' and type(hold.code) == 'string' and type(hold.cause) == 'string'
    and is_number(hold.since) and is_number(hold['until']) and is_number(hold.probe_ms or 0)
    and is_number(hold.probed_at or 0) then return hold end
  if string.find(scope, '^gateway:') or string.find(scope, '^credentials:') then return nil end
  return {code = DAMAGED, cause = DAMAGED, since = 0, ['until'] = 0}
end

-- -> the holds in force: scope -> hold; expired holds are removed. If the key is no hash, all is on hold.
local function in_force()
  local held, entries = {}, of_table('HGETALL', KEY.holds)
  if not entries then return {account = hold_of('account', '')} end
  for i = 1, #entries, 2 do
    local scope, hold = entries[i], hold_of(entries[i], entries[i + 1])
    if hold and ends(hold) > ARG.now then held[scope] = hold else redis.call('HDEL', KEY.holds, scope) end
  end
  return held
end

-- Write a hold; a key that is no hash holds all already. What cannot be written again of one is dropped.
local function write_hold(scope, hold)
  local is_written, text = pcall(cjson.encode, hold)
  if not is_written then
    text = cjson.encode({code = hold.code, cause = hold.cause, since = hold.since, ['until'] = hold['until'],
      probe_ms = hold.probe_ms, probed_at = hold.probed_at})
  end
  of_table('HSET', KEY.holds, scope, text)
end
