-- PARTS tally, rows
-- Breaker: it is open while the holds have its row, which every claim reads; see worker/gateway/breaker.py.

local BEHIND_MS = 10000  -- most difference between clocks; a time further ahead is an error
local KEEP_MS = 8 * 24 * 3600000

local ROW = {code = 'string', detail = 'string', address = 'string', failures = 'number', since = 'number',
  next_probe = 'number'}

-- A breaker in a key of another type is dropped: the next failures write it again.
if not of_table('HLEN', KEY.breaker) then redis.call('DEL', KEY.breaker) end

-- -> the row of the breaker, or nil when it is closed; an unreadable row is dropped: the next failures write it again.
local function open_row()
  local text = of_table('HGET', KEY.holds, ARG.scope)
  local row = text and row_of(text, ROW)
  if text and not row then redis.call('HDEL', KEY.holds, ARG.scope) end
  return row
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
  of_table('HSET', KEY.holds, ARG.scope, cjson.encode(row))  -- a key that is no hash holds all already
  redis.call('HSET', KEY.breaker, Breaking.next, string.format('%d', at), Breaking.planned, string.format('%d', now))
  redis.call('PEXPIRE', KEY.breaker, KEEP_MS)
end
