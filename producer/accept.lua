-- Take up to 99 messages into the house: all records are written before any of them is put on a lane.
-- Intake ends a little below the memory ceiling of Redis, so that what was taken in can still be sent.
-- KEYS  11 suppressed, 12 producers, 13.. records
-- ARGV  msgpack of {now, share of the ceiling that intake may fill, today (YYYYMMDD), tomorrow, when that begins, messages}:
--       a message is {id, to, lane, parts, due (0: at once), print, estimate, sender, whether it is a legal notice,
--       {field, value ...}}, of which 'expires' is always there, and 'producer', 'centre' and 'tags' if it has them
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
local function room(said, estimate, due)
  local centre, producer = said.centre or '', said.producer or ''
  local full = over(centre, producer, estimate, today)
  if not full then return today, due end
  local waits = full.waits and tomorrow_at < said.expires and not over(centre, producer, estimate, tomorrow)
  if waits then return tomorrow, math.max(due, tomorrow_at) end
  count('refused:302')
  return nil, 'over:' .. string.format('%d:%d:', full.limit, full.spent) .. full.name
end

-- Refuse or take a message that was not known; -> the answer.
local function take(record, message, entries)
  local id, to, lane, parts, due, print, estimate, sender, legal, values = unpack(message)
  local period
  local function set(name, value)
    values[#values + 1] = name
    values[#values + 1] = value
  end
  if legal or entries or budgeted then
    local said = {}
    for i = 1, #values, 2 do said[values[i]] = values[i + 1] end
    if legal and not may_pass(said.producer or '') then
      count('refused:101')
      return 'no_right'
    end
    local entry = forbidden(entries, sender, said.tags or '', now)
    if entry and not legal then
      count('refused:' .. entry.code)
      return cjson.encode(entry)
    end
    if budgeted then
      period, due = room(said, estimate, due)
      if not period then return due end
      set('period', period)
    end
    if entry then
      set('bypassed', entry.source)
      count('bypassed:' .. lane)
    end
  end
  if print ~= '' then set('print', print) end
  if due > 0 then set('due', due) end
  local status = due > 0 and 'scheduled' or 'queued'
  local known = {lane = lane, estimate = estimate, period = period}
  place(record, id, known, status, due > 0 and due or now,
    'lane', lane, 'to', to, 'parts', parts, 'accepted', now, unpack(values))
  commit(record, known, nil, status)
  count_of('accepted:', lane)
  count_of('parts:', lane, parts)
  return due > 0 and 'new:scheduled:' .. string.format('%d', due) or 'new:queued:0'
end

local answers, numbers = {}, {}
for i, message in ipairs(messages) do numbers[i] = message[2] end
local suppressed = redis.call('HMGET', KEYS[11], unpack(numbers))
for i, message in ipairs(messages) do
  local record, lane, print = KEYS[12 + i], message[3], message[6]
  local status, printed, due, erased = unpack(redis.call('HMGET', record, 'status', 'print', 'due', 'erased'))
  if status then
    local same = not erased and (printed or '') == print
    answers[i] = same and 'same:' .. status .. ':' .. (due or '0') or erased and 'erased' or 'conflict'
    count(same and 'repeated:' .. lane or 'refused:409')
  else
    answers[i] = take(record, message, suppressed[i])
  end
end
return tallied(answers)
