-- Take up to 100 messages into the house: all records are written before any of them is put on a lane.
-- Intake ends a little below the memory ceiling of Redis, so that what was taken in can still be sent.
-- KEYS  11 suppressed, 12 producers, 13.. records
-- ARGV  now, share of the ceiling that intake may fill, today (YYYYMMDD), tomorrow, when that begins, then for each
--       record: id, to, lane, parts, due (0: at once), print, sender, tags, producer, '1' for a legal notice, cost centre,
--       estimate, expires, number of the record's other values, and these: field, value ...
-- ->    for each record: 'new:<status>:<due>', 'same:<status>:<due>', 'conflict', 'no_right',
--       'over:<limit>:<spent>:<budget>', or the JSON of the entry that suppresses it; {'full'}
local now = ARGV[1]
local memory = redis.call('INFO', 'memory')
local ceiling = tonumber(string.match(memory, 'maxmemory:(%d+)'))
if ceiling > 0 and tonumber(string.match(memory, 'used_memory:(%d+)')) > ceiling * ARGV[2] then return {'full'} end

local function may_pass(producer)
  local registered = redis.call('HGET', KEYS[12], producer)
  return registered and cjson.decode(registered).bypass == true
end

local budgeted = redis.call('HLEN', MONEY.budgets) > 0

-- -> the day in whose budgets a message has room, and when it may go; or nil and the answer
local function room(one)
  local full = over(one.centre, one.producer, one.estimate, ARGV[3])
  if not full then return ARGV[3], one.due end
  local waits = full.waits and tonumber(ARGV[5]) < one.expires and not over(one.centre, one.producer, one.estimate, ARGV[4])
  if waits then return ARGV[4], math.max(one.due, tonumber(ARGV[5])) end
  count('refused:302')
  return nil, 'over:' .. string.format('%d:%d:', full.limit, full.spent) .. full.name
end

-- Refuse or take a message that was not known; -> the answer.
local function take(record, one)
  if one.legal and not may_pass(one.producer) then
    count('refused:101')
    return 'no_right'
  end
  local entry = forbidden(KEYS[11], one.to, one.sender, one.tags, tonumber(now))
  if entry and not one.legal then
    count('refused:' .. entry.code)
    return cjson.encode(entry)
  end
  local period, due = nil, one.due
  if budgeted then
    period, due = room(one)
    if not period then return due end
  end
  redis.call('HSET', record, 'lane', one.lane, 'to', one.to, 'parts', one.parts, 'accepted', now, unpack(ARGV, one.first, one.last))
  if one.print ~= '' then redis.call('HSET', record, 'print', one.print) end
  if due > 0 then redis.call('HSET', record, 'due', string.format('%d', due)) end
  if entry then
    redis.call('HSET', record, 'bypassed', entry.source)
    count('bypassed:' .. one.lane)
  end
  if period then
    redis.call('HSET', record, 'period', period)
  end
  local status = due > 0 and 'scheduled' or 'queued'
  commit(record, one.lane, nil, status)
  place(record, one.id, one.lane, status, due > 0 and string.format('%d', due) or now)
  count('accepted:' .. one.lane)
  count('parts:' .. one.lane, tonumber(one.parts))
  return 'new:' .. status .. ':' .. string.format('%d', due)
end

local answers, a = {}, 6
for i = 1, #KEYS - 12 do
  local record, more = KEYS[12 + i], tonumber(ARGV[a + 13])
  local one = {id = ARGV[a], to = ARGV[a + 1], lane = ARGV[a + 2], parts = ARGV[a + 3], due = tonumber(ARGV[a + 4]),
    print = ARGV[a + 5], sender = ARGV[a + 6], tags = ARGV[a + 7], producer = ARGV[a + 8], legal = ARGV[a + 9] == '1',
    centre = ARGV[a + 10], estimate = tonumber(ARGV[a + 11]), expires = tonumber(ARGV[a + 12]), first = a + 14, last = a + 13 + more}
  local known = redis.call('HMGET', record, 'status', 'print', 'due')
  if known[1] then
    local same = (known[2] or '') == one.print
    answers[i] = same and 'same:' .. known[1] .. ':' .. (known[3] or '0') or 'conflict'
    count(same and 'repeated:' .. one.lane or 'refused:409')
  else
    answers[i] = take(record, one)
  end
  a = a + 14 + more
end
return tallied(answers)
