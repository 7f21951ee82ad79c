-- Take queued messages of one lane for one attempt each: as many as the account, the rate and their time allow.
-- Safe to repeat with the same token: what this token holds already is given again.
-- KEYS  11 holds, 12 rate, 13 suppressed, 14 how far the lanes have come, 15.. records
-- ARGV  now, lane, token, lease until, parts a second, burst, reserve, ms to keep what ends here, ms until the rate is
--       whole again after a resume, credits that the lane leaves to those above it, the newest schema that this worker
--       knows, then the ids
-- ->    {'held'}, or {wait ms (0: all were served), entries}; an entry is
--       {'claimed', id, attempt, first tried, queued at, accepted, body, its trace if it has one} or {'expired', id}
--       or {'suppressed', id, why} or {'held', id, scope}: its sender or its prefix is on hold, and it waits
--       or {'newer', id, schema}: it is left to a newer worker, whole as it is
local now, lane, token = tonumber(ARGV[1]), ARGV[2], ARGV[3]
local rate, burst, reserve = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])

local RETRY_HELD = 60000  -- ms after which a message whose sender or prefix is on hold is looked at again
local ramp_ms, floor, schema = tonumber(ARGV[9]), tonumber(ARGV[10]), tonumber(ARGV[11])

local held, narrow, entry_of = {}, false, redis.call('HGETALL', KEYS[11])  -- scope -> until
for i = 1, #entry_of, 2 do
  local scope, ends = entry_of[i], cjson.decode(entry_of[i + 1])['until']
  if ends == 0 or ends > now then
    held[scope] = ends
    narrow = narrow or string.find(scope, '^sender:') or string.find(scope, '^prefix:')
  else
    redis.call('HDEL', KEYS[11], scope)
  end
end

-- -> the hold of a message's sender or prefix, or nil.
local function narrowly(to, body)
  if not narrow then return nil end
  local sender = 'sender:' .. (cjson.decode(body).sender or '')
  if held[sender] then return sender end
  for scope in pairs(held) do
    local prefix = string.match(scope, '^prefix:(%d+)$')
    if prefix and string.sub(to, 1, #prefix) == prefix then return scope end
  end
end

local function ended_now(record, id, known, to, seen, ...)
  if not move(record, id, known, to, now, 'ended', now, ...) then return end
  redis.call('PEXPIRE', record, ARGV[8])
  return seen
end

-- End a message whose recipient must not be sent to, unless its producer had the right to pass over that.
local function stopped(record, id, known, entries)
  if not entries then return nil end
  local sms = cjson.decode(known.body)
  local entry = forbidden(entries, sms.sender or '', known.tags or '', now)
  if not entry then return nil end
  if sms.legal_notice then
    if redis.call('HSETNX', record, 'bypassed', entry.source) == 1 then count('bypassed:' .. lane) end
    return nil
  end
  count('dead:' .. entry.code .. ':recipient')
  return ended_now(record, id, known, 'dead', {'suppressed', id, entry.source},
    'code', entry.code, 'reason', 'suppressed', 'text', 'by ' .. entry.source, 'owner', 'recipient')
end

-- Leave a message to newer workers: it comes back to its lane in a second, for any worker, and later the longer it waits
-- already, so that old workers alone do not turn it round and round.
local function left_to_newer(record, id, known)
  local since = math.max(tonumber(known.accepted), tonumber(redis.call('HGET', record, 'due')) or 0)
  move(record, id, known, 'scheduled', now + math.max(1000, math.min(60000, math.floor((now - since) / 4))))
  count('newer:' .. lane)
  return {'newer', id, known.schema}
end

if held.account or held['lane:' .. lane] then return {'held'} end

local bucket = redis.call('HMGET', KEYS[12], 'tokens', 'at', 'ramp')
local ramp_left = math.huge
if bucket[3] and ramp_ms > 0 then  -- sending goes on after a hold: the rate grows back
  local whole = (now - tonumber(bucket[3])) / ramp_ms
  if whole >= 1 then redis.call('HDEL', KEYS[12], 'ramp') else ramp_left = math.max(100, (1 - whole) * ramp_ms) end
  rate = rate * math.max(0.05, math.min(1, whole))
end
local at = tonumber(bucket[2]) or now
local tokens = math.min(burst, (tonumber(bucket[1]) or burst) + math.max(0, now - at) * rate / 1000)
-- workers' clocks differ a little: one that is behind does not fill the bucket twice for the next one
if at < now or at > now + 10000 then at = now end
local left, taken = tonumber(redis.call('HGET', MONEY.balance, 'left')), 0

-- What is known of the messages, read before the first of them is moved; an id that is named twice counts once.
local entries, wait, furthest, asked, numbers, ids, seen = {}, 0, 0, {}, {}, {}, {}
for i = 1, #KEYS - 14 do
  local record, id = KEYS[14 + i], ARGV[11 + i]
  local known = not seen[id] and read_whole(record)
  seen[id] = true
  if known and known.lane == lane and (known.status == 'queued' or known.status == 'sending' and known.token == token) then
    asked[#asked + 1] = {record, known}
    numbers[#numbers + 1] = known.to
    ids[#ids + 1] = id
  end
end
local suppressed = #asked > 0 and redis.call('HMGET', KEYS[13], unpack(numbers))
local scores = #asked > 0 and redis.call('ZMSCORE', KEYS[1 + lane], unpack(ids))

for i, id in ipairs(ids) do
  local record, known = unpack(asked[i])
  if known.status == 'sending' then
    entries[#entries + 1] = {'claimed', id, known.attempt, known.first, tostring(now), known.accepted, known.body, known.trace}
  elseif known.schema and tonumber(known.schema) > schema then
    entries[#entries + 1] = left_to_newer(record, id, known)
  elseif tonumber(known.expires) <= now then
    entries[#entries + 1] = ended_now(record, id, known, 'expired', {'expired', id})
  else
    local forbidding = stopped(record, id, known, suppressed[i])
    local parts, estimate = tonumber(known.parts), tonumber(known.estimate) or 0
    local scope = not forbidding and narrowly(known.to, known.body)
    if forbidding then
      entries[#entries + 1] = forbidding
    elseif scope then
      move(record, id, known, 'scheduled', now + RETRY_HELD)
      entries[#entries + 1] = {'held', id, scope}
    elseif floor > 0 and left and left - taken - estimate < floor then
      wait = 1000
      count('reserved:' .. lane)
      break
    elseif tokens - parts < reserve then
      wait = math.ceil(math.min((parts + reserve - tokens) * 1000 / rate, ramp_left))
      break
    else
      tokens, taken = tokens - parts, taken + estimate
      local attempt, first = tostring((tonumber(known.attempt) or 0) + 1), known.first or ARGV[1]
      local queued_at = scores[i] or ARGV[1]
      furthest = math.max(furthest, tonumber(queued_at))
      move(record, id, known, 'sending', ARGV[4], 'token', token, 'attempt', attempt, 'first', first)
      entries[#entries + 1] = {'claimed', id, attempt, first, queued_at, known.accepted, known.body, known.trace}
    end
  end
end
if furthest > (tonumber(redis.call('HGET', KEYS[14], lane)) or 0) then
  redis.call('HSET', KEYS[14], lane, string.format('%d', furthest))
end
if left and taken > 0 then redis.call('HINCRBY', MONEY.balance, 'left', string.format('%d', -taken)) end
redis.call('HSET', KEYS[12], 'tokens', string.format('%.3f', tokens), 'at', at)
return tallied({tostring(wait), entries})
