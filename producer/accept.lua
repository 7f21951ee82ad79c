-- Take up to 100 messages into the house: all records are written before any of them is put on a lane.
-- Intake ends a little below the memory ceiling of Redis, so that what was taken in can still be sent.
-- KEYS  11 suppressed, 12 producers, 13.. records
-- ARGV  msgpack of {now, share of the ceiling that intake may fill, today (YYYYMMDD), tomorrow, when that begins, messages}:
--       a message is {id, to, lane, parts, due (0: at once), print, sender, tags, producer, whether it is a legal notice,
--       cost centre, estimate, expires, {field, value ...}}
-- ->    for each record: 'new:<status>:<due>', 'same:<status>:<due>', 'conflict', 'erased', 'no_right',
--       'over:<limit>:<spent>:<budget>', or the JSON of the entry that suppresses it; {'full'}
local now, ceiling_share, today, tomorrow, tomorrow_at, messages = unpack(cmsgpack.unpack(ARGV[1]))
local memory = redis.call('INFO', 'memory')
local ceiling = tonumber(string.match(memory, 'maxmemory:(%d+)'))
if ceiling > 0 and tonumber(string.match(memory, 'used_memory:(%d+)')) > ceiling * ceiling_share then return {'full'} end

local function may_pass(producer)
  local registered = redis.call('HGET', KEYS[12], producer)
  return registered and cjson.decode(registered).bypass == true
end

local budgeted = redis.call('HLEN', MONEY.budgets) > 0

-- -> the day in whose budgets a message has room, and when it may go; or nil and the answer
local function room(one)
  local full = over(one.centre, one.producer, one.estimate, today)
  if not full then return today, one.due end
  local waits = full.waits and tomorrow_at < one.expires and not over(one.centre, one.producer, one.estimate, tomorrow)
  if waits then return tomorrow, math.max(one.due, tomorrow_at) end
  count('refused:302')
  return nil, 'over:' .. string.format('%d:%d:', full.limit, full.spent) .. full.name
end

-- Refuse or take a message that was not known; -> the answer.
local function take(record, one, entries)
  if one.legal and not may_pass(one.producer) then
    count('refused:101')
    return 'no_right'
  end
  local entry = forbidden(entries, one.sender, one.tags, now)
  if entry and not one.legal then
    count('refused:' .. entry.code)
    return cjson.encode(entry)
  end
  local period, due, values = nil, one.due, one.values
  local function set(name, value)
    values[#values + 1] = name
    values[#values + 1] = value
  end
  if budgeted then
    period, due = room(one)
    if not period then return due end
    set('period', period)
  end
  if one.print ~= '' then set('print', one.print) end
  if due > 0 then set('due', due) end
  if entry then
    set('bypassed', entry.source)
    count('bypassed:' .. one.lane)
  end
  local status = due > 0 and 'scheduled' or 'queued'
  local known = {lane = one.lane, estimate = one.estimate, period = period}
  place(record, one.id, known, status, due > 0 and due or now,
    'lane', one.lane, 'to', one.to, 'parts', one.parts, 'accepted', now, unpack(values))
  commit(record, known, nil, status)
  count('accepted:' .. one.lane)
  count('parts:' .. one.lane, one.parts)
  return 'new:' .. status .. ':' .. string.format('%d', due)
end

local answers, numbers = {}, {}
for i, one in ipairs(messages) do numbers[i] = one[2] end
local suppressed = redis.call('HMGET', KEYS[11], unpack(numbers))
for i, said in ipairs(messages) do
  local record, one = KEYS[12 + i], {}
  one.id, one.to, one.lane, one.parts, one.due, one.print, one.sender, one.tags, one.producer, one.legal, one.centre,
    one.estimate, one.expires, one.values = unpack(said)
  local status, print, due, erased = unpack(redis.call('HMGET', record, 'status', 'print', 'due', 'erased'))
  if status then
    local same = not erased and (print or '') == one.print
    answers[i] = same and 'same:' .. status .. ':' .. (due or '0') or erased and 'erased' or 'conflict'
    count(same and 'repeated:' .. one.lane or 'refused:409')
  else
    answers[i] = take(record, one, suppressed[i])
  end
end
return tallied(answers)
