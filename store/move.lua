-- What every script that moves messages begins with. MAY and SHELF are written in front of it from the tables in
-- store/states.py and store/keys.py, so that the scripts and the code cannot disagree.
-- KEYS  1-10 the shelves: due, queued 1-3, leases, doubt, dead, awaiting, tally, events
--
-- A message costs one reading and one writing of its record; what is counted, and who stands on which shelf, is written
-- once for all messages of a script, by its last act.

local counted, ended, shelved, burnt = {}, {}, {}, 0
local function count(name, n) counted[name] = (counted[name] or 0) + (n or 1) end

-- The same for a name and what is put behind it, such as a lane; a name that was put together once is kept.
local put_together = {}
local function count_of(name, which, n)
  local known = put_together[name]
  if not known then
    known = {}
    put_together[name] = known
  end
  local whole = known[which]
  if not whole then
    whole = name .. which
    known[which] = whole
  end
  counted[whole] = (counted[whole] or 0) + (n or 1)
end

-- The names of the fields that moving a message takes, and those a script reads besides.
local function fields(...) return {'status', 'lane', 'estimate', 'period', ...} end

-- -> a record's fields by their names; what it has not is nil.
local function read(record, names)
  local known, values = {}, redis.call('HMGET', record, unpack(names))
  for i = 1, #names do known[names[i]] = values[i] or nil end
  return known
end

-- -> the same of all its fields: it costs less where most of them are wanted.
local function read_whole(record)
  local known, said = {}, redis.call('HGETALL', record)
  for i = 1, #said, 2 do known[said[i]] = said[i + 1] end
  return known
end

-- The set that holds the ids of a state, or nil for a final one.
local function shelf(status, lane)
  if status == 'queued' then return KEYS[1 + lane] end
  return SHELF[status] and KEYS[SHELF[status]]
end

-- An id is to stand in a set with a score, or (without one) to leave it; the last word on it counts.
local function shelve(set, id, score)
  if not set then return end
  if not shelved[set] then shelved[set] = {} end
  shelved[set][id] = score or false
end

local COMMITTED = {scheduled = true, queued = true, sending = true, in_doubt = true}
local GIVEN_BACK = {dead = true, cancelled = true, expired = true, emulated = true}

-- -> what a message in a state counts for in its budgets: its estimate, until it is known what it did cost. A charge of
--    nothing that is told on the way may be followed by another.
local function share(status, estimate, charge)
  if GIVEN_BACK[status] then return charge or 0 end
  if charge and not COMMITTED[status] and (charge > 0 or status ~= 'sent') then return charge end
  return math.max(estimate, charge or 0)
end

-- Keep a message's share of its cost centre's and its producer's budgets; only what was accepted under one has a period.
local function budget(record, status)
  local known = read(record, {'period', 'counted', 'centre', 'producer', 'estimate', 'charge'})
  local amount = share(status, tonumber(known.estimate) or 0, known.charge and tonumber(known.charge))
  local more = amount - (tonumber(known.counted) or 0)
  if more == 0 then return end
  redis.call('HSET', record, 'counted', amount)
  for _, period in ipairs({known.period, string.sub(known.period, 1, 6)}) do
    if known.centre then redis.call('HINCRBY', MONEY.spent .. period, 'centre:' .. known.centre, more) end
    if known.producer then redis.call('HINCRBY', MONEY.spent .. period, 'producer:' .. known.producer, more) end
    redis.call('EXPIRE', MONEY.spent .. period, #period == 8 and 40 * 86400 or 400 * 86400)
  end
end

-- -> the budget of a cost centre or a producer that has no room for an amount on a day, or nil; one that refuses goes
--    before one that lets wait.
local function over(centre, producer, amount, day)
  local full
  for _, scope in ipairs({'centre:' .. centre, 'producer:' .. producer}) do
    for _, period in ipairs({'day', 'month'}) do
      local name, spent_in = scope .. ':' .. period, period == 'day' and day or string.sub(day, 1, 6)
      local set = redis.call('HGET', MONEY.budgets, name)
      if set then
        local limit, spent = cjson.decode(set), tonumber(redis.call('HGET', MONEY.spent .. spent_in, scope)) or 0
        if spent + amount > limit.limit and (not full or limit.over ~= 'hold') then
          full = {name = name, limit = limit.limit, spent = spent, waits = limit.over == 'hold'}
          if not full.waits then return full end
        end
      end
    end
  end
  return full
end

-- Write down what a message cost; it is counted by what it is more, or less, than was known. What is known has to have
-- these fields, too.
local PAID = {'charge', 'centre', 'producer', 'country', 'parts'}
local function pay(record, known, amount)
  local more = amount - (tonumber(known.charge) or 0)
  redis.call('HSET', record, 'charge', string.format('%d', amount))
  if known.period then budget(record, known.status) end
  if not known.charge then count('charged_parts:' .. known.lane, tonumber(known.parts)) end
  known.charge = amount
  if more == 0 then return end
  count('charged:' .. known.lane .. ':' .. (known.centre or ''), more)
  count('charged_by:producer:' .. (known.producer or ''), more)
  count('charged_by:country:' .. (known.country or ''), more)
  burnt = burnt + more
end

-- Keep the sum of what is still to be paid: the estimates of all that is not sent yet.
local function commit(record, known, from, to)
  if COMMITTED[from] ~= COMMITTED[to] then
    local estimate = tonumber(known.estimate) or 0
    if estimate ~= 0 then count_of('committed:', known.lane, COMMITTED[to] and estimate or -estimate) end
  end
  if known.period then budget(record, to) end
end

local TO = {['1'] = 'to:1:', ['2'] = 'to:2:', ['3'] = 'to:3:'}

-- Put a record into a state: its fields, its place in the state's set, and the count.
local function place(record, id, known, to, score, ...)
  redis.call('HSET', record, 'status', to, ...)
  shelve(shelf(to, known.lane), id, score)
  if to == 'dead' or not next(MAY[to]) then ended[#ended + 1] = {record, id} end
  count_of(TO[known.lane], to)
  known.status = to
end

-- Move a record from the state that it was read in to another, if the table allows it, and write the fields that come
-- with that; -> true, or false and nothing moved. A token ends with its attempt, the body with the last one.
local function move(record, id, known, to, score, ...)
  local from = known.status
  if not MAY[from] or not MAY[from][to] then return false end
  shelve(shelf(from, known.lane), id)
  if to == 'sent' or not next(MAY[to]) then
    redis.call('HDEL', record, 'body', 'token')
  elseif from == 'sending' then
    redis.call('HDEL', record, 'token')
  end
  place(record, id, known, to, score, ...)
  commit(record, known, from, to)
  return true
end

-- Tell the producers of an entry's fields; those without a value are left out.
local function tell(...)
  local said, given = {}, {...}
  for i = 1, select('#', ...), 2 do
    if given[i + 1] and given[i + 1] ~= '' then
      said[#said + 1] = given[i]
      said[#said + 1] = given[i + 1]
    end
  end
  redis.call('XADD', KEYS[10], '*', unpack(said))
end

local TOLD = {'status', 'producer', 'client', 'lane', 'to', 'parts', 'accepted', 'sent', 'ended', 'code', 'reason',
  'owner', 'network', 'charge'}

local AT_ONCE = 1000  -- ids of one command; Lua hands over no more than some 8,000 arguments

local function write_shelves()
  for set, ids in pairs(shelved) do
    local gone, there = {}, {}
    for id, score in pairs(ids) do
      if score then
        there[#there + 1] = score
        there[#there + 1] = id
      else
        gone[#gone + 1] = id
      end
    end
    for i = 1, #gone, AT_ONCE do redis.call('ZREM', set, unpack(gone, i, math.min(i + AT_ONCE - 1, #gone))) end
    for i = 1, #there, 2 * AT_ONCE do redis.call('ZADD', set, unpack(there, i, math.min(i + 2 * AT_ONCE - 1, #there))) end
  end
end

-- Write down what was counted and who stands where, and tell of what ended; each script's last act.
local function tallied(answer)
  write_shelves()
  if burnt ~= 0 then redis.call('HINCRBY', MONEY.burn, math.floor(redis.call('TIME')[1] / 60), burnt) end
  for name, n in pairs(counted) do redis.call('HINCRBY', KEYS[9], name, n) end
  for _, one in ipairs(ended) do
    local known, said = redis.call('HMGET', one[1], unpack(TOLD)), {'type', 'outcome', 'id', one[2]}
    for i, name in ipairs(TOLD) do
      said[#said + 1] = name
      said[#said + 1] = known[i]
    end
    tell(unpack(said))
  end
  return answer
end
