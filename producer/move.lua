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
