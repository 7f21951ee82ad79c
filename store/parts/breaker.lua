-- PARTS tally
-- Breaker: it is open while the holds have its row, which every claim reads; see worker/gateway/breaker.py.

local BEHIND_MS = 10000  -- most difference between clocks; a time further ahead is an error
local KEEP_MS = 8 * 24 * 3600000

-- -> the row of the breaker, or nil when it is closed.
local function open_row()
  local row = redis.call('HGET', KEY.holds, ARG.scope)
  return row and cjson.decode(row) or nil
end

-- -> one of its times or numbers.
local function number_of(name) return tonumber(redis.call('HGET', KEY.breaker, name)) or 0 end

-- -> whether this token may continue its probe.
local function is_prober(token) return redis.call('HGET', KEY.breaker, Breaking.prober) == token end

local function end_probe() redis.call('HDEL', KEY.breaker, Breaking.prober, Breaking.taken, Breaking.ends, Breaking.passes) end

-- Write the row with the time of the next probe, and keep the rest for a while.
local function await_probe(row, at, now)
  row.next_probe = at
  row.cause = row.address .. ' does not answer: ' .. string.format('%d', row.failures) .. ' failures in a row, the last: '
    .. row.detail
  redis.call('HSET', KEY.holds, ARG.scope, cjson.encode(row))
  redis.call('HSET', KEY.breaker, Breaking.next, string.format('%d', at), Breaking.planned, string.format('%d', now))
  redis.call('PEXPIRE', KEY.breaker, KEEP_MS)
end
