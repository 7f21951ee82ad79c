-- What every script that moves messages begins with. MAY and SHELF are written in front of it from the tables in
-- producer/states.py and producer/keys.py, so that the scripts and the code cannot disagree.
-- KEYS  1-9 the shelves: due, queued 1-3, leases, doubt, dead, awaiting, tally

local counted = {}
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
  count('to:' .. lane .. ':' .. to)
end

-- Move a record from the state it is in to another, if the table allows it; -> true, or false and nothing moved.
local function move(record, id, lane, from, to, score)
  if not MAY[from] or not MAY[from][to] then return false end
  local set = shelf(from, lane)
  if set then redis.call('ZREM', set, id) end
  if to == 'sent' or next(MAY[to]) == nil then redis.call('HDEL', record, 'body') end  -- it is never sent again
  place(record, id, lane, to, score)
  return true
end

-- Write down what was counted; each script's last act.
local function tallied(answer)
  for name, n in pairs(counted) do redis.call('HINCRBY', KEYS[9], name, n) end
  return answer
end
