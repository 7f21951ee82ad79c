-- What every script that moves messages begins with. MAY and SHELF are written in front of it from the tables in
-- producer/states.py and producer/keys.py, so that the scripts and the code cannot disagree.
-- KEYS  1-10 the shelves: due, queued 1-3, leases, doubt, dead, awaiting, tally, events

local counted, ended = {}, {}
local function count(name, n) counted[name] = (counted[name] or 0) + (n or 1) end

-- The set that holds the ids of a state, or nil for a final one.
local function shelf(status, lane)
  if status == 'queued' then return KEYS[1 + lane] end
  return SHELF[status] and KEYS[SHELF[status]]
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

-- Keep a message's share of its cost centre's and its producer's budgets.
local function budget(record, status)
  local known = redis.call('HMGET', record, 'period', 'counted', 'centre', 'producer', 'estimate', 'charge')
  if not known[1] then return end
  local amount = share(status, tonumber(known[5]) or 0, known[6] and tonumber(known[6]))
  local more = amount - (tonumber(known[2]) or 0)
  if more == 0 then return end
  redis.call('HSET', record, 'counted', amount)
  for _, period in ipairs({known[1], string.sub(known[1], 1, 6)}) do
    if known[3] then redis.call('HINCRBY', MONEY.spent .. period, 'centre:' .. known[3], more) end
    if known[4] then redis.call('HINCRBY', MONEY.spent .. period, 'producer:' .. known[4], more) end
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

-- Write down what a message cost; it is counted by what it is more, or less, than was known.
local function pay(record, lane, amount)
  local known = redis.call('HMGET', record, 'charge', 'centre', 'producer', 'country', 'parts', 'status')
  local more = amount - (tonumber(known[1]) or 0)
  redis.call('HSET', record, 'charge', string.format('%d', amount))
  budget(record, known[6])
  if not known[1] then count('charged_parts:' .. lane, tonumber(known[5])) end
  if more == 0 then return end
  count('charged:' .. lane .. ':' .. (known[2] or ''), more)
  count('charged_by:producer:' .. (known[3] or ''), more)
  count('charged_by:country:' .. (known[4] or ''), more)
  redis.call('HINCRBY', MONEY.burn, math.floor(redis.call('TIME')[1] / 60), more)
end

-- Keep the sum of what is still to be paid: the estimates of all that is not sent yet.
local function commit(record, lane, from, to)
  if COMMITTED[from] ~= COMMITTED[to] then
    local estimate = tonumber(redis.call('HGET', record, 'estimate')) or 0
    if estimate ~= 0 then count('committed:' .. lane, COMMITTED[to] and estimate or -estimate) end
  end
  budget(record, to)
end

-- Put a record into a state: its field, its place in the state's set, and the count.
local function place(record, id, lane, to, score)
  redis.call('HSET', record, 'status', to)
  local set = shelf(to, lane)
  if set then redis.call('ZADD', set, score, id) end
  if to == 'dead' or not next(MAY[to]) then ended[#ended + 1] = {record, id} end
  count('to:' .. lane .. ':' .. to)
end

-- Move a record from the state it is in to another, if the table allows it; -> true, or false and nothing moved.
local function move(record, id, lane, from, to, score)
  if not MAY[from] or not MAY[from][to] then return false end
  local set = shelf(from, lane)
  if set then redis.call('ZREM', set, id) end
  if to == 'sent' or not next(MAY[to]) then redis.call('HDEL', record, 'body') end  -- it is never sent again
  commit(record, lane, from, to)
  place(record, id, lane, to, score)
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

-- Write down what was counted, and tell of what ended; each script's last act.
local function tallied(answer)
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
