-- Take up to 100 messages into the house: all records are written before any of them is put on a lane.
-- Intake ends a little below the memory ceiling of Redis, so that what was taken in can still be sent.
-- KEYS  11 suppressed, 12 producers, 13.. records
-- ARGV  now, share of the ceiling that intake may fill, then for each record: id, to, lane, parts, due (0: at once),
--       print, sender, tags, producer, '1' for a legal notice, number of the record's other values, and these: field, value ...
-- ->    for each record: 'new:<status>', 'same:<status>', 'conflict', 'no_right', or the JSON of the entry that
--       suppresses it; {'full'}
local now = ARGV[1]
local memory = redis.call('INFO', 'memory')
local ceiling = tonumber(string.match(memory, 'maxmemory:(%d+)'))
if ceiling > 0 and tonumber(string.match(memory, 'used_memory:(%d+)')) > ceiling * ARGV[2] then return {'full'} end

local function may_pass(producer)
  local registered = redis.call('HGET', KEYS[12], producer)
  return registered and cjson.decode(registered).bypass == true
end

local answers, a = {}, 3
for i = 1, #KEYS - 12 do
  local record, more = KEYS[12 + i], tonumber(ARGV[a + 10])
  local id, to, lane, due, print, legal = ARGV[a], ARGV[a + 1], ARGV[a + 2], ARGV[a + 4], ARGV[a + 5], ARGV[a + 9] == '1'
  local known = redis.call('HMGET', record, 'status', 'print')
  local entry = not known[1] and forbidden(KEYS[11], to, ARGV[a + 6], ARGV[a + 7], tonumber(now))
  if known[1] then
    local same = (known[2] or '') == print
    answers[i] = same and 'same:' .. known[1] or 'conflict'
    count(same and 'repeated:' .. lane or 'refused:409')
  elseif legal and not may_pass(ARGV[a + 8]) then
    answers[i] = 'no_right'
    count('refused:101')
  elseif entry and not legal then
    answers[i] = cjson.encode(entry)
    count('refused:' .. entry.code)
  else
    local status = due ~= '0' and 'scheduled' or 'queued'
    redis.call('HSET', record, 'lane', lane, 'to', to, 'parts', ARGV[a + 3], 'accepted', now, unpack(ARGV, a + 11, a + 10 + more))
    if print ~= '' then redis.call('HSET', record, 'print', print) end
    if due ~= '0' then redis.call('HSET', record, 'due', due) end
    if entry then
      redis.call('HSET', record, 'bypassed', entry.source)
      count('bypassed:' .. lane)
    end
    place(record, id, lane, status, due ~= '0' and due or now)
    count('accepted:' .. lane)
    count('parts:' .. lane, tonumber(ARGV[a + 3]))
    answers[i] = 'new:' .. status
  end
  a = a + 11 + more
end
return tallied(answers)
